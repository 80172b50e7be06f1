"""How a report writes numbers and names."""

import math
import unicodedata

__all__ = ["clean", "listing", "number", "percent", "short", "tally"]

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 4) -> str:
    """A number to some significant digits, without an exponent where it is of a usual size."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite" if value > 0 else "−infinite"
    rounded = float(f"{value:.{digits}g}")
    size = abs(rounded)
    if size == 0.0:
        return "0"
    if 1e-4 <= size < 10.0 ** max(digits, 6):
        text = f"{rounded:,.{max(digits - 1 - math.floor(math.log10(size)), 0)}f}"
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}"
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share in percent; only exact zeros and ones read as 0 and 100 %."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    if 0.001 <= share < 0.1 or 0.99 < share < 1.0:
        return f"{min(float(f'{100 * share:.4g}' if share > 0.99 else f'{100 * share:.2g}'), 99.99):g} %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{number(100 * share, 2)} %"


def tally(count: int, one: str, several: str | None = None) -> str:
    """A count with its noun, in the plural unless it is one: "1 row", "2,000 rows"."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def clean(name: object) -> str:
    """A name without characters that HTML cannot show."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs", "Cn") else c for c in str(name)
    )


def short(name: str, most: int = 18) -> str:
    """A name, cut to at most so many characters, to fit into a figure."""
    return name if len(name) <= most else name[: most - 1] + "…"


def listing(items: list[str], most: int = 8) -> str:
    """The first items, joined by commas, and how many more there are."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more:,} more" if more > 0 else "")
