"""`python -m traitcast`."""

from traitcast.start import main

main()
