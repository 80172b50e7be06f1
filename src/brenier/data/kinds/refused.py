"""What holds points but cannot be taken as it is: what to pass instead."""

from typing import NoReturn

from brenier.data.kinds._kind import Kind, is_from
from brenier.data.table import InputTypeError, Unchecked

__all__ = ["Refused"]


class Refused(Kind):
    """Sparse matrices, frames that are not computed yet, and AnnData where there is nothing to say which part of it."""

    def owns(self, value: Unchecked) -> bool:
        return _way_out(value, "") is not None

    def read(self, value: Unchecked, name: str) -> NoReturn:
        raise InputTypeError(f"`{name}` is a {type(value).__name__}{_way_out(value, name)}")


def _way_out(value: Unchecked, name: str) -> str | None:
    """The rest of the message; None for all else."""
    if is_from(value, "anndata", "AnnData"):
        return (
            f"; `BrenierMap` and `BrenierDensity` take it, with `obsm` or `layer` to say which part. Elsewhere pass a "
            f"part, for instance `{name}.obsm['X_pca']`; `brenier.estimators.anndata.transport` moves it by any map."
        )
    if hasattr(value, "nnz"):
        return f"; sparse data are not supported. Pass `{name}.toarray()`."
    if is_from(value, "dask", "DataFrame", "FrameBase"):
        return f" of dask, which is not computed yet. Pass `{name}.compute()`, or `{name}.to_dask_array(lengths=True)`."
    if hasattr(value, "collect"):
        return f", which is not computed yet. Pass `{name}.collect()`."
    return None
