"""The entries of a table as finite numbers, or a message that says which are not."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import DataWarning, InputError, warn
from brenier.data.table import InputTypeError, LabelColumnsError, Matrix, Unchecked, itemise, label, show_few, tally

__all__ = ["all_truth_values", "check_finite", "is_gap", "to_float"]

_LARGEST = 1e100
"""Magnitudes beyond this overflow once they are squared and summed."""

_DIGITS = {"float16": 3, "bfloat16": 2}


def to_float(raw: NDArray[Any], name: str, labels: list[str] | None) -> Matrix:
    """Entries as float64, gaps as NaN; see `as_points`, whose checks these are, for the arguments and errors."""
    kind = raw.dtype.kind
    if kind == "c":
        raise InputError(
            f"Complex data not supported: `{name}` has dtype {raw.dtype}. Pass the real and imaginary parts as columns."
        )
    if kind == "b":
        raise LabelColumnsError(
            f"`{name}` holds truth values (dtype {raw.dtype}). If they are meant as the numbers 0 and 1, convert "
            "them with `astype(float)`."
        )
    if kind == "O":
        return _from_objects(raw, name, labels)
    if kind not in "iuf" and raw.dtype.name not in _DIGITS:
        raise InputError(f"`{name}` must hold numbers; got dtype {raw.dtype}. Drop or encode what is not a number.")
    if raw.dtype.name in _DIGITS:
        digits = _DIGITS[raw.dtype.name]
        warn(
            f"`{name}` has dtype {raw.dtype}, which keeps about {digits} significant digits. Pass float32 or more.",
            DataWarning,
        )
    # A long double may become infinite, and NaNs of some bits signal; the next check says what they are.
    with np.errstate(over="ignore", invalid="ignore"):
        values = raw.astype(np.float64, copy=False)
    if kind in "iu" and raw.dtype.itemsize == 8:
        large = np.argwhere(np.abs(values) >= 2**53)
        if len(large):
            i, j = large[0]
            warn(
                f"`{name}` has integers of 2^53 or more, which float64 rounds, such as {raw[i, j]} in column "
                f"{label(labels, j)}. Is a column of identifiers still in the data?",
                DataWarning,
            )
    return values


def _from_objects(raw: NDArray[Any], name: str, labels: list[str] | None) -> Matrix:
    truth = [j for j, column in enumerate(raw.T) if all_truth_values(column)]
    if truth:
        raise LabelColumnsError(f"`{name}` has columns of truth values: {show_few(truth, lambda j: label(labels, j))}.")
    values = np.empty(raw.shape)
    for (i, j), entry in np.ndenumerate(raw):
        try:
            values[i, j] = _number(entry)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputTypeError(
                f"`{name}` must hold numbers; got {entry!r} in row {i}, column {label(labels, j)} ({error}). "
                "Drop or encode what is not a number."
            ) from error
    return values


def _number(entry: Unchecked) -> float:
    if _is_missing(entry):
        return math.nan
    if isinstance(entry, str | bytes):
        raise TypeError("text")
    if np.iscomplexobj(entry):
        raise TypeError("Complex data not supported")
    if np.ndim(entry) > 0:
        raise TypeError("a list")
    return float(entry)


def _is_missing(entry: object) -> bool:
    """None or `pandas.NA`; NaN is a float like any other."""
    return entry is None or type(entry).__name__ == "NAType"


def is_gap(entry: object) -> bool:
    """Whether an entry is None, `pandas.NA` or NaN."""
    return _is_missing(entry) or (isinstance(entry, float) and math.isnan(entry))


def check_finite(values: Matrix, name: str, labels: list[str] | None) -> None:
    """Refuse NaN and infinity, with their counts in each column, and numbers whose squares overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        finite = math.isfinite(values.sum())  # one pass and no memory, where masks would take an eighth of the data
    if not finite and (bad := ~np.isfinite(values)).any():
        sums = {"NaN": np.isnan(values).sum(axis=0), "infinity": np.isinf(values).sum(axis=0)}
        flaws = [f"{what} ({tally(labels, hits)} of {len(values)} rows)" for what, hits in sums.items() if hits.any()]
        rows = [str(i) for i in np.flatnonzero(bad.any(axis=1))]
        empty = np.flatnonzero(bad.all(axis=0)).tolist()
        way_out = "Drop these rows, or fill in the values."
        if empty and len(values) > 1:
            way_out = f"Drop columns without any finite value, {show_few(empty, lambda j: label(labels, j))}."
            if len(empty) < bad.any(axis=0).sum():
                way_out += " Elsewhere drop rows, or fill in the values."
        raise InputError(f"`{name}` contains {' and '.join(flaws)}, in rows {itemise(rows)}. {way_out}")
    largest = max(values.max(), -values.min())
    if largest > _LARGEST:
        raise InputError(f"`{name}` has values up to {largest:.3g}, whose squares overflow. Use other units.")


def all_truth_values(column: NDArray[Any]) -> bool:
    """Whether the entries of a column of objects that are not missing are all truth values."""
    if column.ndim != 1 or column.dtype.kind != "O":
        return False
    present = [entry for entry in column if not is_gap(entry)]
    return bool(present) and all(isinstance(entry, bool | np.bool_) for entry in present)
