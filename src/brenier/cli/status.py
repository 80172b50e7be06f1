"""Rows whose numerical solve failed, as commands report them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["status_line", "status_record"]

_ROWS_SHOWN = 10


def status_record(failed: "NDArray") -> dict[str, Any]:
    """How many rows failed, and the first of them, as JSON values.

    Args:
        failed: Numbers of all of them, from 0.
    """
    return {"unconverged": len(failed), "unconverged_rows": failed[:_ROWS_SHOWN].tolist()}


def status_line(record: Mapping[str, Any], more: str = "") -> tuple[str, str]:
    """How many rows failed, and the first of them, for people: a label and a text.

    Args:
        record: The entries of `status_record`, and `rows`, the number of all rows.
        more: Text to append if some failed.
    """
    if not record["unconverged"]:
        return "Status", "all preimages converged"
    rows = ", ".join(map(str, record["unconverged_rows"]))
    dots = " ..." if record["unconverged"] > _ROWS_SHOWN else ""
    text = f"{record['unconverged']} of {record['rows']} preimages NOT converged: rows {rows}{dots} (from 0)"
    return "Status", text + more
