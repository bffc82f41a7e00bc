"""Facts and pure parsers, a module per kernel interface.

Nothing here opens a file but the package's own data.
"""
