"""Benchmarks of brenier: what `brenier bench` runs, and beside what it is measured."""
