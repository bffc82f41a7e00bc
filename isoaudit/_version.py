"""The version, alone so that `isoaudit --version` imports nothing else."""

__version__ = "0.1.0"
