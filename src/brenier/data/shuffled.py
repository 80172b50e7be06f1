"""Rows of a stored table in random order, in bounded memory, read ahead by a thread."""

import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.stored import Stored
from brenier.data.streams import PointStream
from brenier.data.table import Matrix

__all__ = ["ShuffledStream"]

_SHARE = 0.4
"""Share of the memory for the rows being drawn, and again for those read ahead; the rest is for reading."""

_TOGETHER = 256
"""Pieces that are mixed where rows can be read anywhere."""

_TOGETHER_STORED = 32
"""Pieces that are mixed at least where a piece is a stored block, of which a part costs as much as all."""

_PIECES_A_PART = 16
"""Fewest pieces of each of several parts."""

_ORDER, _ROWS, _HELD_OUT = range(3)
"""What random numbers are for: each purpose has its own streams, so that any of them can be made again."""


class ShuffledStream(PointStream):
    """Draws every row once in random order, then every row once again in another one.

    The table is divided into pieces of neighbouring rows. Each round mixes one piece out of each of many equal
    stretches of the table, so that a round of a sorted table still has rows of all of it; its rows are then drawn in
    random order while a thread reads the next round. Two rounds take at most four fifths of the memory. The order is
    decided by the seed alone, never by the thread.

    Args:
        stored: The table; its `memory` is the limit.
        seed: Fixes the orders and which rows are held out.
        held_out: Number of rows that are never drawn; they are in `holdout`. They lie in up to 256 pieces, spread
            evenly over the table at random.
        part: Number of the part, and how many parts there are: of `n` parts, each has every `n`-th piece, and its share
            of the memory.

    Raises:
        InputError: Here or in `draw`, if rows cannot be read or are not finite numbers.
    """

    def __init__(self, stored: Stored, seed: int, held_out: int = 0, part: tuple[int, int] = (0, 1)) -> None:
        self._stored, self._seed, self._part = stored, seed, part
        index, count = part
        self._capacity = max(int(_SHARE * stored.memory / count / (8 * stored.dim)), 1)
        self._piece = _piece_rows(stored, self._capacity, count)
        if self._piece > self._capacity:
            raise InputError(f"`memory` is too little for {count} parts; got {stored.memory:,} bytes. Raise it.")
        pieces = -(-stored.rows // self._piece)
        self._pieces = np.arange(index, pieces, count)
        if not len(self._pieces):
            raise InputError(f"`{stored.path}` has too few rows for {count} parts: {stored.rows}. Use fewer.")
        self._a_round = min(self._capacity // self._piece, len(self._pieces))
        self._rounds = -(-len(self._pieces) // self._a_round)
        self._held_out, self.holdout = _hold_out(stored, self._piece, seed, held_out)
        if stored.rows <= held_out:
            raise InputError(f"`{stored.path}` has {stored.rows} rows, none of which is left beside those held out.")
        self._count, self._used = 0, 0  # the round that is being drawn, and how many of its rows have been
        self._current: tuple[Matrix, NDArray[np.intp]] | None = None
        self._next: _Ahead | None = None

    @property
    def dim(self) -> int:
        return self._stored.dim

    @property
    def size(self) -> int:
        """Rows of the whole table without those held out; of a part, of that part."""
        starts = self._pieces * self._piece
        stops = np.minimum(starts + self._piece, self._stored.rows)
        inside = np.searchsorted(self._held_out, stops) - np.searchsorted(self._held_out, starts)
        return int((stops - starts - inside).sum())

    def draw(self, n: int) -> Matrix:
        parts, missing, empty = [], n, 0
        while missing > 0:
            values, order = self._round()
            rows = order[self._used : self._used + missing]
            parts.append(values[rows])
            self._used += len(rows)
            missing -= len(rows)
            empty = 0 if len(rows) else empty + 1
            if empty > self._rounds + 1:
                raise InputError(f"`{self._stored.path}`: this part has no rows besides those held out. Use fewer.")
            if missing > 0:
                self._count, self._used, self._current = self._count + 1, 0, None
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def state(self) -> dict[str, Any]:
        return {"round": self._count, "used": self._used, "rows": self._stored.rows, "piece": self._piece}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of a source of the same table, seed and memory.

        Raises:
            InputError: The state is of another table, or of another limit of memory.
        """
        layout = {"rows": self._stored.rows, "piece": self._piece}
        saved = {name: int(state[name]) for name in layout}
        if layout != saved:
            raise InputError(
                f"`state` is of {saved['rows']} rows in pieces of {saved['piece']}; `{self._stored.path}` has "
                f"{layout['rows']} in pieces of {layout['piece']}. Use the same file and `memory`."
            )
        self._count, self._used, self._current = int(state["round"]), int(state["used"]), None
        if self._next is not None:
            self._next.stop()
            self._next = None

    def part(self, index: int, count: int) -> "ShuffledStream":
        """The stream of one of several workers, which have no row in common; all hold out the same rows.

        Raises:
            InputError: There are too few rows.
        """
        if self._part != (0, 1):
            raise InputError("This source is a part already. Take parts of the whole.")
        stream = ShuffledStream(self._stored, self._seed, 0, (index, count))
        stream._held_out, stream.holdout = self._held_out, self.holdout
        return stream

    def _round(self) -> tuple[Matrix, NDArray[np.intp]]:
        """Rows of the round, and the order in which they are drawn; the next one is read from now on."""
        if self._current is None:
            ahead = self._next if self._next is not None and self._next.number == self._count else self._start()
            self._next = None
            values = ahead.result()
            rng = np.random.default_rng([self._seed, *self._part, _ROWS, self._count])
            self._current = values, rng.permutation(len(values))
            self._next = self._start(1)
        return self._current

    def _start(self, ahead: int = 0) -> "_Ahead":
        number = self._count + ahead
        reader = _Ahead(self._stored, number, self._choose_pieces(number), self._piece, self._held_out)
        reader.at_the_end = weakref.finalize(self, reader.stop)
        return reader

    def _choose_pieces(self, number: int) -> NDArray[np.intp]:
        """Pieces of a round: one from each stretch of as many pieces as there are rounds in an epoch."""
        epoch, place = divmod(number, self._rounds)
        rng = np.random.default_rng([self._seed, *self._part, _ORDER, epoch])
        chosen = []
        for start in range(0, len(self._pieces), self._rounds):
            stretch = self._pieces[start : start + self._rounds]
            order = rng.permutation(self._rounds)
            if order[place] < len(stretch):
                chosen.append(stretch[order[place]])
        return np.array(chosen, np.intp)


class _Ahead:
    """A round that is being read by a thread, which ends with the round."""

    def __init__(
        self, stored: Stored, number: int, pieces: NDArray[np.intp], piece: int, held_out: NDArray[np.intp]
    ) -> None:
        self.number = number
        self.at_the_end: weakref.finalize | None = None
        self._stored, self._pieces, self._piece, self._held_out = stored, pieces, piece, held_out
        self._stopped, self._values, self._error = threading.Event(), None, None
        self._thread = threading.Thread(target=self._read, name="brenier-read-ahead", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the piece that it is reading, and wait for it."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def result(self) -> Matrix:
        """The rows, once they are read; what went wrong is raised here."""
        self._thread.join()
        if self.at_the_end is not None:
            self.at_the_end.detach()  # a source of many rounds is not to remember them all
        if self._error is not None:
            raise self._error
        values, self._values = self._values, None
        if values is None:
            raise RuntimeError("a round was stopped while it was read")
        return values

    def _read(self) -> None:
        try:
            values, filled = np.empty((len(self._pieces) * self._piece, self._stored.dim)), 0
            for number in self._pieces:
                if self._stopped.is_set():
                    return
                start = int(number) * self._piece
                stop = min(start + self._piece, self._stored.rows)
                rows = self._stored.read(start, stop)
                low, high = np.searchsorted(self._held_out, [start, stop])
                if high > low:
                    rows = np.delete(rows, self._held_out[low:high] - start, axis=0)
                values[filled : filled + len(rows)] = rows
                filled += len(rows)
            self._values = values[:filled]
        except Exception as error:  # noqa: BLE001 - raised again by `result`, in the thread that asks for the rows
            self._error = error


def _piece_rows(stored: Stored, capacity: int, parts: int) -> int:
    """Rows of a piece: small enough that many fit into a round, and a stored block where that is so already."""
    piece = max(min(capacity // _TOGETHER, -(-stored.rows // _TOGETHER)), 1)
    if stored.block > 1:
        most = max(capacity // _TOGETHER_STORED, 1)
        # Of several small blocks, or an equal part of a large one, so that pieces do not straddle blocks.
        piece = max(piece // stored.block, 1) * stored.block
        if piece > most:
            piece = -(-stored.block // -(-stored.block // most))
    if parts > 1:
        piece = max(min(piece, stored.rows // (_PIECES_A_PART * parts)), 1)
    return piece


def _hold_out(stored: Stored, piece: int, seed: int, count: int) -> tuple[NDArray[np.intp], Matrix]:
    """Numbers of rows, and the rows: as many from each of up to 256 pieces, one of each equal stretch."""
    if count == 0:
        return np.empty(0, np.intp), np.empty((0, stored.dim))
    rng = np.random.default_rng([seed, _HELD_OUT])
    pieces = -(-stored.rows // piece)
    edges = np.linspace(0, pieces, min(pieces, _TOGETHER) + 1).astype(np.intp)
    chosen = rng.integers(edges[:-1], edges[1:])
    lengths = np.minimum((chosen + 1) * piece, stored.rows) - chosen * piece
    # A row of all that are in the chosen pieces is as likely as any other.
    ends = np.cumsum(lengths)
    places = np.sort(rng.choice(ends[-1], min(count, int(ends[-1])), replace=False))
    owners = np.searchsorted(ends, places, side="right")
    rows = chosen[owners] * piece + places - (ends - lengths)[owners]
    values = np.empty((len(rows), stored.dim))
    for owner in np.unique(owners):
        start = int(chosen[owner]) * piece
        mine = owners == owner
        values[mine] = stored.read(start, start + int(lengths[owner]))[rows[mine] - start]
    order = rng.permutation(len(rows))
    return rows, values[order]
