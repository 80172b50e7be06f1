"""Maps inside other libraries: frames of dask on a cluster. Nothing is imported here."""
