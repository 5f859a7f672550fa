"""`python -m dlgrade`."""

from dlgrade.cli import main

main()
