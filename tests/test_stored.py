"""Files read in parts: the same points as NumPy has, whatever the blocks, and clear words where they are broken."""

import threading
from pathlib import Path

import numpy as np
import pytest

from brenier import BrenierMap, InputError
from brenier.data.shuffled import ShuffledStream
from brenier.files import open_points

ROWS = 40_000
MEMORY = 1_000_000


def write(path: Path, values: np.ndarray) -> Path:
    """Values in the format that the name says, in small blocks."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".zarr":
        zarr = pytest.importorskip("zarr")
        zarr.create_array(str(path), data=values, chunks=(999, values.shape[1]))
    elif path.suffix == ".h5ad":
        anndata = pytest.importorskip("anndata")
        anndata.AnnData(obsm={"p": values}, shape=(len(values), 1)).write_h5ad(path)
    else:
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pyarrow.table({f"c{j}": column for j, column in enumerate(values.T)})
        if path.suffix == ".parquet":
            parquet.write_table(table, path, row_group_size=1234)
        else:
            path.mkdir()
            for place, start in enumerate(range(0, len(values), 7001)):
                parquet.write_table(table.slice(start, 7001), path / f"part-{place}.parquet", row_group_size=1234)
    return path


def numbered(rows: int = ROWS) -> np.ndarray:
    """Rows sorted by both columns, the second of which numbers them."""
    values = np.sort(np.random.default_rng(0).normal(size=(rows, 2)), axis=0)
    values[:, 1] = np.arange(rows)
    return values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.npy", numbered())


@pytest.mark.parametrize("name", ["a.npy", "a.parquet", "folder", "a.zarr", "a.h5ad"])
def test_rows_are_those_of_numpy_whatever_the_blocks(tmp_path: Path, name: str) -> None:
    values = numbered(9000)
    stored = open_points(write(tmp_path / name, values), "obsm/p" if name == "a.h5ad" else None)
    assert (stored.rows, stored.dim) == values.shape
    for step in (700, 5000, 9000):
        parts = [stored.read(start, min(start + step, 9000)) for start in range(0, 9000, step)]
        assert np.array_equal(np.concatenate(parts), values)
    assert np.array_equal(stored.read(4000, 4010), values[4000:4010])
    assert np.array_equal(stored.read(100, 110), values[100:110])


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<i4", ">i2", "<u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_type_and_order(tmp_path: Path, kind: str, order: str) -> None:
    values = np.asarray(np.arange(300).reshape(100, 3).astype(kind), order=order)
    stored = open_points(write(tmp_path / "a.npy", values))
    assert np.array_equal(stored.read(10, 90), values[10:90].astype(float))


def test_every_row_once_an_epoch_and_never_one_that_is_held_out(path: Path) -> None:
    source = ShuffledStream(open_points(path, memory=MEMORY), 3, 4096)
    assert source.size == ROWS - 4096
    assert source._rounds > 1
    held_out = source.holdout[:, 1]
    assert len(np.unique(held_out)) == 4096
    for _ in range(2):
        drawn = np.concatenate([source.draw(source.size - 10), source.draw(10)])[:, 1]
        assert np.array_equal(np.sort(np.concatenate([drawn, held_out])), np.arange(ROWS))


def test_the_first_draws_of_a_sorted_file_are_like_all_of_it(path: Path) -> None:
    values = numbered()
    source = ShuffledStream(open_points(path, memory=MEMORY), 5, 1000)
    for rows in (source.draw(4000), source.holdout):
        error = values.std(axis=0) / np.sqrt(len(rows))
        assert np.all(np.abs(rows.mean(axis=0) - values.mean(axis=0)) < 4 * error)
        assert np.all(np.abs(rows.std(axis=0) / values.std(axis=0) - 1) < 4 / np.sqrt(len(rows)))
    places = source.draw(2000)[:, 1]
    assert abs(np.corrcoef(places[:-1], places[1:])[0, 1]) < 4 / np.sqrt(2000)


def test_one_seed_gives_one_order_and_restore_goes_on_in_it(path: Path) -> None:
    def fresh(seed: int = 7) -> ShuffledStream:
        return ShuffledStream(open_points(path, memory=MEMORY), seed, 500)

    first, second = fresh(), fresh()
    for n in (10, 30_000, 7):
        assert np.array_equal(first.draw(n), second.draw(n))
    assert not np.array_equal(fresh(8).draw(100), fresh().draw(100))
    state = first.state()
    wanted = [first.draw(n) for n in (50_000, 3)]
    third = fresh()
    third.draw(123)
    third.restore(state)
    assert all(np.array_equal(third.draw(len(own)), own) for own in wanted)
    with pytest.raises(InputError, match="same file and `memory`"):
        ShuffledStream(open_points(path, memory=2 * MEMORY), 7, 500).restore(state)


def test_parts_share_no_row_and_hold_out_the_same(path: Path) -> None:
    whole = ShuffledStream(open_points(path, memory=MEMORY), 3, 4096)
    parts = [whole.part(index, 3) for index in range(3)]
    drawn = np.concatenate([part.draw(part.size) for part in parts])[:, 1]
    assert np.array_equal(np.sort(np.concatenate([drawn, whole.holdout[:, 1]])), np.arange(ROWS))
    with pytest.raises(InputError, match="is a part already"):
        parts[0].part(0, 2)


def test_no_thread_is_left_behind(path: Path) -> None:
    before = threading.active_count()
    source = ShuffledStream(open_points(path, memory=MEMORY), 3, 0)
    source.draw(10)
    del source
    assert threading.active_count() == before


def test_a_bad_entry_far_down_is_named_by_file_and_row(tmp_path: Path) -> None:
    values = numbered()
    values[31_234, 0] = np.nan
    source = ShuffledStream(open_points(write(tmp_path / "bad.npy", values), memory=MEMORY), 0, 0)
    with pytest.raises(InputError, match=r"bad\.npy`, rows [\d,]+ to [\d,]+: NaN or infinity in rows 31234"):
        source.draw(2 * ROWS)


def test_files_that_are_cut_off(path: Path) -> None:
    stored = open_points(path)
    with open(path, "r+b") as handle:
        handle.truncate(path.stat().st_size - 100)
    with pytest.raises(InputError, match="has become shorter while it was read"):
        stored.read(ROWS - 10, ROWS)
    with pytest.raises(InputError, match="100 bytes are missing"):
        open_points(path)


def test_a_fit_from_files_finds_the_gaussian_map(tmp_path: Path, rng: np.random.Generator) -> None:
    """Against the closed form; the rows are sorted, and only a part of them is in memory."""
    X = np.sort(rng.normal(size=(ROWS, 1)), axis=0)
    X = np.hstack([X, rng.normal(size=(ROWS, 1))])
    Y = rng.normal(size=(ROWS, 2)) * [2.0, 0.5] + [1.0, -1.0]
    sides = [write(tmp_path / name, side) for name, side in (("x.npy", X), ("y.parquet", Y))]
    opened = [open_points(side, memory=MEMORY) for side in sides]
    assert not any(side.fits for side in opened)
    ot = BrenierMap(max_steps=128, random_state=0).fit(*opened)
    assert np.abs(ot.transform(X[::100]) - (X[::100] * [2.0, 0.5] + [1.0, -1.0])).max() < 0.15


def test_small_files_are_fitted_as_arrays(tmp_path: Path, rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2)) + 1.0
    opened = [open_points(write(tmp_path / f"{name}.npy", side)) for name, side in (("x", X), ("y", Y))]
    maps = [BrenierMap(max_steps=128, refit=False, random_state=0).fit(*sides) for sides in ((X, Y), opened)]
    assert np.array_equal(maps[0].transform(X), maps[1].transform(X))


def test_what_is_refused(path: Path) -> None:
    stored = open_points(path, memory=MEMORY)
    with pytest.raises(InputError, match="read in parts, which have no weights"):
        BrenierMap().fit(stored, stored, x_weight=np.ones(ROWS))
    with pytest.raises(InputError, match="is read in parts"):
        BrenierMap().fit(stored, stored, x_condition=np.ones(ROWS), y_condition=np.ones(ROWS))
    with pytest.raises(InputError, match="at least 1,000,000 bytes"):
        open_points(path, memory=10)
