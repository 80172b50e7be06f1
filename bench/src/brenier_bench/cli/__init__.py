"""The command `brenier bench`, which the command line of brenier finds by its entry point."""
