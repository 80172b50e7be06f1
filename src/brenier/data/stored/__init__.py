"""Points in files that may be larger than memory: .npy, .parquet (one or a folder of them), .zarr and .h5ad."""
