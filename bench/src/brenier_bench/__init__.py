"""Benchmarks of brenier: what `brenier bench` runs, and the methods that brenier is compared with."""
