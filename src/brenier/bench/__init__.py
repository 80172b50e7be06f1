"""Benchmarks with exact answers: what `brenier bench` runs."""

from brenier.bench.exact import bench_gaussian, bench_w2

__all__ = ["bench_gaussian", "bench_w2"]
