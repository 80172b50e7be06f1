"""Maps inside other libraries: AnnData of single cells, and frames of dask on a cluster. Nothing is imported here."""
