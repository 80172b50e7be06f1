"""Tensors and arrays of other libraries in, the same out; without copies where there need be none; nothing imported."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
import torch

from brenier import BrenierDensity, BrenierMap, ConvergenceWarning, DataWarning, Dequantizer, InputError
from brenier.data import as_points, as_stream, memory
from brenier.data.conditions import read_conditions
from brenier.data.frames import like
from brenier.data.kinds import KINDS, kind_of
from brenier.data.kinds.dask import Blocks
from brenier.data.streams import is_array_like
from brenier.data.weights import as_weights
from brenier.maps import transport_map

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 2)), 2.0 * RNG.normal(size=(60, 2)) + 1.0
KIND = np.repeat(["u", "v"], 30)
AGE = np.linspace(0.0, 9.0, 60)
SINGLE = X.astype(np.float32).astype(np.float64)
"""Numbers that survive single precision."""


@pytest.fixture(scope="module")
def plain() -> BrenierMap:
    with pytest.warns(ConvergenceWarning, match="too few"):
        return BrenierMap(random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def conditional() -> BrenierMap:
    x, y = (pd.DataFrame({"kind": KIND, "age": AGE[order]}) for order in (slice(None), slice(None)))
    with pytest.warns(ConvergenceWarning, match="too few"):
        return BrenierMap(random_state=0, condition_types={"age": "number"}).fit(X, Y, x_condition=x, y_condition=y)


@pytest.fixture(scope="module")
def density() -> BrenierDensity:
    with pytest.warns(ConvergenceWarning, match="too few"):
        return BrenierDensity(random_state=0).fit(X)


MAKERS: dict[str, tuple[Callable[[np.ndarray], Any], type]] = {
    "numpy": (np.asarray, np.ndarray),
    "list": (np.ndarray.tolist, np.ndarray),
    "pandas": (lambda points: pd.DataFrame(points, columns=["a", "b"]), pd.DataFrame),
    "polars": (lambda points: polars.DataFrame(points, schema=["a", "b"]), polars.DataFrame),
    "arrow": (lambda points: pa.table({"a": points[:, 0], "b": points[:, 1]}), pa.Table),
    "arrow batch": (lambda p: pa.table({"a": p[:, 0], "b": p[:, 1]}).to_batches()[0], pa.RecordBatch),
    "torch": (torch.tensor, torch.Tensor),
    "torch, single": (lambda points: torch.tensor(points, dtype=torch.float32), torch.Tensor),
    "torch, with gradients": (lambda points: torch.tensor(points, requires_grad=True) * 1.0, torch.Tensor),
    "torch, transposed": (lambda points: torch.tensor(points.T.copy()).T, torch.Tensor),
    "torch parameter": (lambda points: torch.nn.Parameter(torch.tensor(points)), torch.Tensor),
    "jax": (jnp.asarray, jax.Array),
    "dask": (lambda points: da.from_array(points, chunks=(25, 2)), da.Array),
    "dask, columns apart": (lambda points: da.from_array(points, chunks=(25, 1)), da.Array),
}
every_kind = pytest.mark.parametrize(("make", "expected"), MAKERS.values(), ids=MAKERS.keys())
"""One line for each kind: how to make it of points, and what comes back."""


def plain_array(value: Any) -> np.ndarray:
    return as_points(value, "value").values


class TestEveryKind:
    @every_kind
    def test_is_read(self, make: Callable, expected: type) -> None:
        np.testing.assert_array_equal(plain_array(make(SINGLE)), SINGLE)

    @every_kind
    def test_comes_back_from_every_method_that_moves(
        self, make: Callable, expected: type, plain: BrenierMap, conditional: BrenierMap
    ) -> None:
        given, age = make(SINGLE), pd.DataFrame({"kind": KIND, "age": AGE})
        one, each = plain.map_, conditional.map_
        for move in (
            plain.transform,
            plain.inverse_transform,
            lambda points: plain.interpolate(points, 0.3),
            one.forward,
            one.inverse,
            lambda points: one.interpolate(points, 0.3),
            lambda points: conditional.transform(points, condition=("u", 2.0)),
            lambda points: conditional.inverse_transform(points, condition=age),
            lambda points: each.forward(points, condition=age),
            lambda points: each.inverse(points, condition=("u", 2.0)),
            lambda points: each.interpolate(points, 0.3, condition=age),
        ):
            raw, moved = move(SINGLE), move(given)
            assert isinstance(raw, np.ndarray)
            assert isinstance(moved, expected)
            # JAX keeps single precision, and a block is compiled for its own number of rows.
            np.testing.assert_allclose(plain_array(moved), raw, rtol=2e-5, atol=2e-6)
            assert np.abs(raw - SINGLE).max() > 0.1

    @every_kind
    def test_is_judged_by_every_other_method(
        self, make: Callable, expected: type, plain: BrenierMap, conditional: BrenierMap, density: BrenierDensity
    ) -> None:
        one, each = plain.map_, conditional.map_
        numbers = pd.DataFrame({"kind": KIND, "age": AGE})
        for judge in (
            lambda x: plain.score(x, x),
            lambda x: plain.distance(x, x, empirical=False).w2,
            lambda x: plain.log_density(x, "normal"),
            lambda x: plain.inverse_transform(x, return_status=True).points,
            lambda x: conditional.score(x, x, x_condition=numbers, y_condition=numbers),
            lambda x: conditional.log_density(x, "normal", condition=("u", 2.0)),
            one.log_det,
            lambda x: one.dual(x, x).value,
            lambda x: one.log_density_gradient(x, "normal"),
            lambda x: each.inverse_with_status(x, condition=numbers).points,
            density.score_samples,
            density.score,
            density.gradient,
        ):
            np.testing.assert_array_equal(judge(make(SINGLE)), judge(SINGLE))

    @every_kind
    def test_can_be_fitted(self, make: Callable, expected: type, plain: BrenierMap) -> None:
        with pytest.warns(ConvergenceWarning, match="too few"):
            ot = BrenierMap(random_state=0).fit(make(SINGLE), make(Y.astype(np.float32).astype(np.float64)))
        with pytest.warns(ConvergenceWarning, match="too few"):
            raw = BrenierMap(random_state=0).fit(SINGLE, Y.astype(np.float32).astype(np.float64))
        np.testing.assert_array_equal(ot.transform(SINGLE), raw.transform(SINGLE))
        with pytest.warns(ConvergenceWarning, match="too few"):
            BrenierDensity(random_state=0).fit(make(SINGLE))

    @pytest.mark.parametrize("make", [torch.tensor, jnp.asarray, lambda own: da.from_array(own, chunks=25), list])
    def test_holds_weights_and_conditions(self, make: Callable) -> None:
        weights = np.arange(1.0, 61.0)
        np.testing.assert_array_equal(as_weights(make(weights), 60, "x_weight"), weights / weights.sum())
        (column,) = read_conditions(make(weights), 60, "x_condition")
        np.testing.assert_array_equal(column.values, weights)

    def test_is_tested_here(self) -> None:
        found = {type(kind_of(make(SINGLE))) for make, _ in MAKERS.values()}
        assert found == {type(kind) for kind in KINDS} - {type(KINDS[0])}


class TestCopies:
    def test_are_not_made_of_tensors_in_double_precision(self) -> None:
        for given in (torch.tensor(X), torch.tensor(X.T.copy()).T, torch.tensor(X, requires_grad=True)):
            values = plain_array(given)
            assert values.ctypes.data == given.data_ptr()
            assert np.shares_memory(values, given.detach().numpy())
        single = torch.tensor(X).float()
        assert not np.shares_memory(plain_array(single), single.numpy())

    def test_are_not_made_of_results(self, plain: BrenierMap) -> None:
        points = X.copy()
        assert like(torch.tensor(X), points).data_ptr() == points.ctypes.data
        moved = plain.transform(torch.tensor(X))
        assert (moved.dtype, moved.device.type, moved.requires_grad) == (torch.float64, "cpu", False)

    def test_are_not_made_of_arrays_of_jax(self, x64: None) -> None:
        given = jnp.asarray(X)
        assert given.dtype == jnp.float64
        assert plain_array(given).ctypes.data == given.unsafe_buffer_pointer()

    def test_are_not_made_of_arrays_of_numpy(self, tmp_path) -> None:
        np.save(tmp_path / "x.npy", X)
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        for given in (X, X[::2], mapped):
            assert np.shares_memory(plain_array(given), given)

    def test_the_input_is_never_written_to(self, plain: BrenierMap) -> None:
        given = torch.tensor(X)
        plain.transform(given).zero_()
        np.testing.assert_array_equal(given.numpy(), X)
        with pytest.raises(ValueError, match="read-only"):
            plain_array(given)[0, 0] = 1.0


class TestTensors:
    @pytest.mark.parametrize(("dtype", "digits"), [("bfloat16", 2), ("float16", 3)])
    def test_of_half_precision_are_taken_with_a_warning(self, dtype: str, digits: int, plain: BrenierMap) -> None:
        given = torch.tensor(X, dtype=getattr(torch, dtype))
        for own in (given, given.T.contiguous().T):
            with pytest.warns(DataWarning, match=f"`X` has dtype {dtype}, which keeps about {digits} significant"):
                values = plain_array_named(own)
            np.testing.assert_array_equal(values, given.double().numpy())
        with pytest.warns(DataWarning, match=dtype):
            assert plain.transform(given).dtype == torch.float64

    def test_of_integers_and_truth_values(self) -> None:
        np.testing.assert_array_equal(plain_array(torch.tensor([[1, 2], [3, 4]])), [[1.0, 2.0], [3.0, 4.0]])
        with pytest.raises(InputError, match=r"`X` holds truth values"):
            plain_array_named(torch.tensor([[True], [False]]))

    def test_elsewhere_are_moved_to_the_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []
        monkeypatch.setattr(torch.Tensor, "cpu", lambda self: (asked.append(self), torch.Tensor.to(self, "cpu"))[1])
        plain_array(torch.tensor(X))
        assert len(asked) == 1
        with pytest.raises(InputError, match="`X` is a tensor on the device 'meta', which has no values"):
            plain_array_named(torch.empty((3, 2), device="meta"))

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_on_a_gpu(self, plain: BrenierMap) -> None:
        moved = plain.transform(torch.tensor(X, device="cuda", requires_grad=True))
        assert moved.device.type == "cpu"
        np.testing.assert_array_equal(moved.numpy(), plain.transform(X))

    def test_that_are_sparse_are_refused(self) -> None:
        with pytest.raises(InputError, match=r"`X` is a sparse tensor; .* Pass `X.to_dense\(\)`"):
            plain_array_named(torch.eye(3).to_sparse())

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (torch.ones(3), r"`X` must be 2-D, a row for each point; got shape \(3,\)"),
            (torch.ones(3, 1, 2), r"got shape \(3, 1, 2\). Flatten"),
            (torch.tensor([[1.0, float("nan")]]), r"`X` contains NaN \(column 1: 1 of 1 rows\)"),
            (torch.ones(2, 2, dtype=torch.complex64), "Complex data not supported"),
        ],
    )
    def test_that_are_no_points(self, given: torch.Tensor, message: str) -> None:
        with pytest.raises(InputError, match=message):
            plain_array_named(given)


class TestJax:
    def test_double_precision_comes_back_where_it_is_on(self, plain: BrenierMap, x64: None) -> None:
        moved = plain.transform(jnp.asarray(X))
        assert moved.dtype == jnp.float64
        np.testing.assert_array_equal(moved, plain.transform(X))

    def test_single_precision_otherwise(self, plain: BrenierMap) -> None:
        assert plain.transform(jnp.asarray(X)).dtype == jnp.float32

    def test_bfloat16(self) -> None:
        with pytest.warns(DataWarning, match="bfloat16"):
            plain_array(jnp.asarray(X, jnp.bfloat16))

    def test_inside_of_compiled_functions_there_are_no_values(self, plain: BrenierMap) -> None:
        with pytest.raises(InputError, match="`X` is an array without values, inside `jit`"):
            jax.jit(plain.transform)(jnp.asarray(X))


class Counted:
    """Points in blocks that count how often each is computed."""

    def __init__(self, points: np.ndarray, rows: int = 25) -> None:
        self.sizes: list[int] = []
        given = da.from_array(points, chunks=(rows, points.shape[1]))
        self.array = given.map_blocks(self._seen, dtype=points.dtype, meta=np.empty((0, 0)))

    def _seen(self, block: np.ndarray) -> np.ndarray:
        self.sizes.append(len(block))
        return block


class TestDask:
    def test_nothing_is_computed_before_it_is_asked_for(self, plain: BrenierMap, conditional: BrenierMap) -> None:
        counted = Counted(X)
        for moved in (
            plain.transform(counted.array),
            plain.inverse_transform(counted.array),
            plain.interpolate(counted.array, 0.5),
            conditional.transform(counted.array, condition=pd.DataFrame({"kind": KIND, "age": AGE})),
        ):
            assert counted.sizes == []
            assert (moved.shape, moved.chunks[0], moved.dtype) == ((60, 2), (25, 25, 10), np.float64)

    def test_blocks_are_moved_one_by_one(self, plain: BrenierMap, monkeypatch: pytest.MonkeyPatch) -> None:
        counted, seen = Counted(X), []
        inner = transport_map.images
        monkeypatch.setattr(transport_map, "images", lambda *parts: (seen.append(len(parts[-1])), inner(*parts))[1])
        moved = plain.transform(counted.array)
        moved[:5].compute(scheduler="synchronous")
        assert counted.sizes == [25]
        assert max(seen) == 32  # a block, filled up to a power of two; all rows would take 64
        moved.compute(scheduler="synchronous")
        assert sorted(counted.sizes) == [10, 25, 25, 25]

    def test_conditions_are_divided_as_the_blocks_are(self, conditional: BrenierMap) -> None:
        mixed = np.random.default_rng(1).permutation(60)
        given = da.from_array(X, chunks=(7, 2))
        labels = pd.DataFrame({"kind": KIND, "age": AGE}).iloc[mixed]
        np.testing.assert_allclose(
            conditional.transform(given, condition=labels).compute(),
            conditional.transform(X, condition=labels),
            rtol=1e-5,
            atol=1e-6,
        )
        with pytest.raises(InputError, match="must have one entry for each of the 60 points; got 59"):
            conditional.transform(given, condition=labels[:59])
        with pytest.raises(InputError, match=r"unknown length, so conditions of each row .* `X.compute_chunk_sizes"):
            conditional.map_.forward(given[given[:, 0] > 0.0], condition=labels[:30])

    def test_what_cannot_be_moved_is_refused_at_once(self, plain: BrenierMap, conditional: BrenierMap) -> None:
        with pytest.raises(InputError, match=r"`X` must have 2 columns, as in `fit`; got shape \(60, 3\)"):
            plain.transform(da.ones((60, 3), chunks=20))
        with pytest.raises(InputError, match="`Y` must be 2-D"):
            plain.inverse_transform(da.ones(60))
        with pytest.raises(InputError, match="`condition` is missing"):
            conditional.transform(da.from_array(X))
        with pytest.raises(InputError, match=r"`condition`.*'w'"):
            conditional.transform(da.from_array(X), condition=("w", 1.0))
        lost = da.from_array(np.where(X > 1.0, np.nan, X))
        with pytest.raises(InputError, match="`X` contains NaN"):
            plain.transform(lost).compute()

    def test_blocks_that_a_filter_emptied(self, plain: BrenierMap) -> None:
        ordered = X[np.argsort(X[:, 0])]
        given = da.from_array(ordered, chunks=(20, 2))
        moved = plain.transform(given[given[:, 0] > ordered[45, 0]])
        np.testing.assert_allclose(moved.compute(), plain.transform(ordered[46:]), rtol=1e-5, atol=1e-6)

    def test_small_ones_are_computed_once_by_a_fit(self) -> None:
        x, y = Counted(X), Counted(Y)
        with pytest.warns(ConvergenceWarning, match="too few"):
            ot = BrenierMap(random_state=0).fit(x.array, y.array)
        assert sorted(x.sizes) == sorted(y.sizes) == [10, 25, 25]
        with pytest.warns(ConvergenceWarning, match="too few"):
            np.testing.assert_array_equal(ot.transform(X), BrenierMap(random_state=0).fit(X, Y).transform(X))

    def test_small_ones_are_computed_once_by_a_fit_of_a_density(self) -> None:
        counted = Counted(X)
        BrenierDensity(max_steps=64, holdout=0.4, random_state=0).fit(counted.array)
        assert sorted(counted.sizes) == [10, 25, 25]

    def test_large_ones_are_streamed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(4000, 2))
        counted = Counted(x[np.argsort(x[:, 0])], 250)
        monkeypatch.setattr(memory, "MOST_BYTES", 8 * 2 * 1000)
        assert not is_array_like(counted.array)
        ot = BrenierMap(max_steps=128, random_state=0).fit(counted.array, lambda key, n: _exponential(key, n))
        moved = ot.transform(x)
        np.testing.assert_allclose(moved.mean(axis=0), 1.0, atol=0.2)
        with pytest.raises(
            InputError, match=r"`X` is a dask array of 62.5 KiB .* at most 15.6 KiB is computed at once"
        ):
            ot.score(counted.array, x)

    def test_streams_mix_what_lies_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given = da.from_array(np.c_[np.arange(160.0), np.ones(160)], chunks=(10, 1))
        batches = list(Blocks(given, 0))
        assert [len(batch) for batch in batches] == [80, 80]
        assert len({value // 10 for value in batches[0][:20, 0]}) > 4
        assert {value // 10 for value in batches[0][:, 0]} != set(range(8))
        np.testing.assert_array_equal(np.sort(np.concatenate(batches)[:, 0]), np.arange(160.0))
        again, same = Blocks(given, 0), Blocks(given, 0)
        first, second = next(iter(again)), next(iter(again))
        np.testing.assert_array_equal(first, next(iter(same)))
        assert not np.array_equal(first, second)
        monkeypatch.setattr(memory, "MOST_BYTES", 8 * 2 * 10 * 3)
        assert max(len(batch) for batch in Blocks(given, 0)) == 30

    def test_of_unknown_length_are_streamed(self) -> None:
        given = da.from_array(X, chunks=(20, 2))
        source = as_stream(given[given[:, 0] > 0.0], "X", 0)
        drawn = source.draw(200)
        assert source.size is None
        assert {tuple(row) for row in drawn} == {tuple(row) for row in X[X[:, 0] > 0.0]}

    def test_frames_are_refused(self) -> None:
        frame = pytest.importorskip("dask.dataframe").from_pandas(pd.DataFrame(X, columns=["a", "b"]), npartitions=2)
        message = r"`X` is a DataFrame of dask, which is not computed yet. Pass `X.compute\(\)`, or `X.to_dask_array"
        for read in (plain_array_named, lambda value: as_stream(value, "X", 0)):
            with pytest.raises(InputError, match=message):
                read(frame)
        ot = frame.to_dask_array(lengths=True)
        np.testing.assert_array_equal(plain_array(ot), X)

    def test_noise_and_rounding_come_back_lazy(self) -> None:
        counts = da.from_array(np.random.default_rng(0).poisson(3.0, (100, 1)) + 0.0, chunks=(30, 1))
        spread = Dequantizer(random_state=0).fit(counts)
        moved = spread.transform(counts)
        assert isinstance(moved, da.Array)
        np.testing.assert_array_equal(spread.inverse_transform(moved), counts)


@pytest.mark.parametrize("make", [torch.tensor, jnp.asarray, lambda points: da.from_array(points, chunks=(25, 2))])
def test_set_output_decides(make: Callable, plain: BrenierMap) -> None:
    try:
        moved = plain.set_output(transform="pandas").transform(make(SINGLE))
    finally:
        plain.set_output(transform="default")
    assert isinstance(moved, pd.DataFrame)
    np.testing.assert_array_equal(moved, plain.transform(SINGLE))


def test_no_library_is_imported_that_is_not_in_use() -> None:
    code = """
import sys
for name in ("pandas", "pyarrow"):  # scikit-learn imports them where it finds them
    sys.modules[name] = None
import numpy as np
import brenier
from brenier import BrenierDensity, BrenierMap
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(300, 2)), rng.exponential(size=(300, 2))
ot = BrenierMap(max_steps=2, random_state=0).fit(X, Y)
ot.inverse_transform(ot.transform(X))
ot.distance(X, Y, empirical=False)
BrenierDensity(max_steps=64, random_state=0).fit(X).score_samples(X)
import brenier.estimators.anndata, brenier.cli
print([name for name in ("torch", "dask", "anndata", "polars", "h5py") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[]"


def plain_array_named(value: Any) -> np.ndarray:
    return as_points(value, "X").values


def _exponential(key: Any, n: int) -> np.ndarray:
    return np.random.default_rng(np.asarray(key)).exponential(size=(n, 2))
