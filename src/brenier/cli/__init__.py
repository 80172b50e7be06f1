"""The command line: each command builds arguments, calls the public functions and prints their results."""

from brenier.cli.app import app, main

__all__ = ["app", "main"]
