"""Hostile and broken files: every reader as a function of bytes, small valid files, and what is done to them."""
