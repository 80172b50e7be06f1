"""Arrays of NumPy, lists of rows, and anything else that NumPy can read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.kinds._kind import Kind, to_array
from brenier.data.table import Unchecked, tally

__all__ = ["Arrays"]


class Arrays(Kind):
    """NumPy arrays, plain, masked or mapped from a file; lists; all that is of no other kind."""

    def owns(self, value: Unchecked) -> bool:
        return True

    def read(self, value: Unchecked, name: str) -> NDArray[Any]:
        if isinstance(value, np.ma.MaskedArray):
            masked = np.ma.getmaskarray(value)
            if masked.ndim == 2 and masked.any():
                raise InputError(
                    f"`{name}` has masked entries ({tally(None, masked.sum(axis=0))} of {len(masked)} rows). Fill "
                    f"them (`{name}.filled(...)`), or drop these rows."
                )
            value = value.data
        raw = to_array(value, name)
        # NumPy writes the numbers of a mixed list as text; as objects they keep their type.
        return np.asarray(value, dtype=object) if raw.dtype.kind in "US" and isinstance(value, list | tuple) else raw

    def is_whole(self, value: Unchecked) -> bool:
        if isinstance(value, list | tuple):
            return not (value and getattr(value[0], "ndim", 0) == 2)
        return hasattr(value, "__array__")
