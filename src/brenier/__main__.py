"""`python -m brenier`: the same as the command `brenier`."""

from brenier.cli import main

main()
