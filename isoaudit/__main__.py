"""`python -m isoaudit`."""

from isoaudit.cli import main

main()
