"""The text format of LIBSVM, in which the USPS digits are published."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError

__all__ = ["parse_usps"]

_SIDE = 16


def parse_usps(content: bytes, path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images and labels from the lines of a USPS file: a label from 1 to 10, then `pixel:value` from -1 to 1.

    Args:
        content: The whole file, decompressed. Pixels are counted from 1, row by row; one that a line leaves out has
            the value 0, as everywhere in this format.
        path: What messages call the file.

    Returns:
        `(n, 16, 16)` values moved to 0 to 1, and `(n,)` labels moved to 0 to 9, so that they are the digits.

    Raises:
        InputError: The content is not in this format, or has values or labels outside their ranges.

    References: Chang and Lin 2011, "LIBSVM: a library for support vector machines"; Hull 1994, "A database for
    handwritten text recognition research".
    """
    from sklearn.datasets import load_svmlight_file  # takes seconds to import, which only this needs

    text, pixels = io.BytesIO(content), _SIDE * _SIDE
    try:
        rows, labels = load_svmlight_file(text, n_features=pixels, zero_based=False)  # type: ignore[arg-type]
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"`{path}` is not in the text format of LIBSVM with {pixels} pixels a line: "
            f"{str(error)[:200].rstrip('.')}. "
            "Is it the original file?"
        ) from error
    if not len(labels):
        raise InputError(f"`{path}` is empty. Is it the original file?")
    values = rows.toarray().astype(np.float32)
    # Written so that NaN is outside, too.
    outside = ~(np.abs(values) <= 1).all(axis=1)
    if outside.any():
        raise InputError(
            f"`{path}`, image {np.argmax(outside) + 1}: pixels of USPS lie between -1 and 1. Is it the original file?"
        )
    wrong = ~np.isin(labels, np.arange(1, 11))
    if wrong.any():
        first = np.argmax(wrong)
        raise InputError(
            f"`{path}`, image {first + 1}: labels of USPS go from 1 to 10; got {labels[first]:g}. "
            "Is it the original file?"
        )
    images = ((values + 1) / 2).reshape(-1, _SIDE, _SIDE)
    return images, labels.astype(np.int64) - 1
