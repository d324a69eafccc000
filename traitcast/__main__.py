"""`python -m traitcast`."""

from traitcast.cli import main

main()
