"""The command line: each command builds arguments, calls the public functions and prints what they found."""

from brenier.cli.app import app, main

__all__ = ["app", "main"]
