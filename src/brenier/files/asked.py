"""What is asked of a file of points: which array of it, and which columns beside them."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from brenier._errors import InputError
from brenier.data.table import itemise, shorten

__all__ = ["AbsentError", "Asked", "Places"]


class AbsentError(InputError):
    """A file lacks columns that were asked for."""


class Places(NamedTuple):
    """Numbers of the columns that were asked for, by name, and of those that make up the points."""

    taken: Mapping[str, int]
    points: Sequence[int]


class Asked(NamedTuple):
    """What to read.

    Attributes:
        key: Array of points in an .npz archive.
        columns: Columns, or arrays of an archive, to take beside the points.
        required: Whether a file must have them all; otherwise those that it has are taken.
    """

    key: str | None = None
    columns: Sequence[str] = ()
    required: bool = True

    def check(self, available: Container[str], present: Sequence[str] | None, path: Path) -> None:
        """Check that a file has what is required.

        Args:
            available: Those of `columns` that it has.
            present: Names of all its columns or arrays; None where it has no names.
            path: The file.

        Raises:
            AbsentError: The file lacks some.
        """
        missing = ", ".join(f"`{name}`" for name in self.columns if name not in available)
        if not missing or not self.required:
            return
        suffix = path.suffix.lower()
        if suffix == ".npy":
            reason = "it holds a single array. Put points and conditions into one .npz archive, or into a table of text"
        elif present is None:
            reason = "its columns have no names. Write these into its first row"
        else:
            reason = f"it has {itemise([shorten(name) for name in present], 10) or 'none'}"
        what = ("array" if suffix == ".npz" else "column") + ("s" if ", " in missing else "")
        raise AbsentError(f"`{path}` has no {what} {missing} to take conditions from: {reason}.")

    def places(self, present: Sequence[str], path: Path) -> Places:
        """Divide the columns of a table into those asked for and the points.

        Raises:
            InputError: Columns are missing, two have a name that was asked for, or none is left for the points.
        """
        self.check(present, present, path)
        for name in self.columns:
            if present.count(name) > 1:
                raise InputError(f"`{path}` has {present.count(name)} columns named `{name}`. Rename all but one.")
        taken = {name: present.index(name) for name in self.columns if name in present}
        points = [place for place in range(len(present)) if place not in taken.values()]
        if taken and not points:
            raise InputError(f"`{path}` has no columns but those of conditions, {', '.join(taken)}. Add the points.")
        return Places(taken, points)
