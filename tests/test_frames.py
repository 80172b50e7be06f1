"""Frames in, frames out, of the same kind and with the same labels; and what is said of messy ones."""

import datetime
import decimal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from brenier import BrenierMap, ConvergenceWarning, DataWarning, InputError, TransportMap
from brenier.cli import app
from brenier.data import Table, as_points, check_pair
from brenier.data.conditions import read_conditions
from brenier.data.frames import like

polars = pytest.importorskip("polars")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 2)), 2.0 * RNG.normal(size=(60, 2)) + 1.0
KIND = np.repeat(["u", "v"], 30)
SAMPLE = X[:5]


@pytest.fixture(scope="module")
def plain() -> BrenierMap:
    """A Gaussian map between points without names."""
    with pytest.warns(ConvergenceWarning, match="too few"):
        return BrenierMap(random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def named() -> BrenierMap:
    with pytest.warns(ConvergenceWarning, match="too few"):
        return BrenierMap(random_state=0).fit(pd.DataFrame(X, columns=["a", "b"]), pd.DataFrame(Y, columns=["a", "b"]))


@pytest.fixture(scope="module")
def conditional() -> BrenierMap:
    with pytest.warns(ConvergenceWarning, match="too few"):
        return BrenierMap(random_state=0).fit(X, Y, x_condition=KIND, y_condition=KIND)


def pandas(points: np.ndarray) -> pd.DataFrame:
    """A frame with everything that may get lost."""
    index = pd.MultiIndex.from_tuples([("p", 1), ("p", 1), ("q", 9), ("q", 2), ("p", 0)], names=["group", None])
    return pd.DataFrame(points, index=index, columns=pd.Index([("a", 1), 7], name="what", tupleize_cols=False))


def assert_like(result: Any, given: Any, expected: np.ndarray) -> None:
    assert type(result) is type(given)
    if isinstance(given, pd.DataFrame):
        pd.testing.assert_frame_equal(result, pd.DataFrame(expected, index=given.index, columns=given.columns))
    else:
        own = given.column_names if hasattr(given, "column_names") else given.columns
        assert (result.column_names if hasattr(result, "column_names") else result.columns) == own
        np.testing.assert_array_equal(np.column_stack([column.to_numpy() for column in columns(result)]), expected)


def columns(frame: Any) -> list[Any]:
    return frame.columns if hasattr(frame, "column_names") else frame.get_columns()


MAKERS: dict[str, Callable[[np.ndarray], Any]] = {
    "pandas": pandas,
    "duplicated index": lambda points: pd.DataFrame(points, index=[3, 3, 1, 1, 0], columns=["a", "b"]),
    "dates as index": lambda points: pd.DataFrame(points, index=pd.date_range("2020", periods=5), columns=["a", "b"]),
    "polars": lambda points: polars.DataFrame(points, schema=["a", "b"]),
    "arrow": lambda points: pa.table({"a": points[:, 0], "b": points[:, 1]}),
    "arrow batch": lambda points: pa.table({"a": points[:, 0], "b": points[:, 1]}).to_batches()[0],
}


class TestFramesComeBack:
    @pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
    def test_from_the_estimator_and_the_map(self, make: Callable, plain: BrenierMap) -> None:
        given, map_ = make(SAMPLE), plain.map_
        assert isinstance(map_, TransportMap)
        for move, raw in [
            (plain.transform, map_.forward),
            (plain.inverse_transform, map_.inverse),
            (lambda x: plain.interpolate(x, 0.3), lambda x: map_.interpolate(x, 0.3)),
        ]:
            expected = raw(SAMPLE)
            assert type(expected) is np.ndarray
            assert_like(move(given), given, expected)
            assert_like(raw(given), given, expected)

    @pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
    @pytest.mark.parametrize("condition", ["u", KIND[28:33]])
    def test_from_maps_with_conditions(self, make: Callable, condition: Any, conditional: BrenierMap) -> None:
        given, map_ = make(SAMPLE), conditional.map_
        assert map_.conditions is not None
        for move, raw in [
            (conditional.transform, lambda x, condition: map_.forward(x, condition=condition)),
            (conditional.inverse_transform, lambda x, condition: map_.inverse(x, condition=condition)),
            (lambda x, condition: conditional.interpolate(x, 0.3, condition=condition), None),
        ]:
            raw = raw or (lambda x, condition: map_.interpolate(x, 0.3, condition=condition))
            expected = raw(SAMPLE, condition)
            assert type(expected) is np.ndarray
            assert_like(move(given, condition=condition), given, expected)
            assert_like(raw(given, condition), given, expected)

    def test_the_status_holds_arrays(self, plain: BrenierMap) -> None:
        status = plain.inverse_transform(pandas(SAMPLE), return_status=True)
        np.testing.assert_array_equal(status.points, plain.inverse_transform(SAMPLE))
        assert type(status.points) is np.ndarray

    @pytest.mark.parametrize(
        "convert",
        [np.asarray, np.ndarray.tolist, lambda points: points.astype(np.float32), lambda p: Table(p)],
    )
    def test_all_else_comes_back_as_an_array(self, convert: Callable, plain: BrenierMap) -> None:
        assert type(plain.transform(convert(SAMPLE))) is np.ndarray
        assert type(plain.map_.inverse(convert(SAMPLE))) is np.ndarray

    def test_integers_come_back_as_floats(self, plain: BrenierMap) -> None:
        given = pd.DataFrame({"a": [1, 2], "b": pd.array([3, 4], dtype="Int64")}, index=["r", "s"])
        assert_like(plain.transform(given), given, plain.transform(given.to_numpy(float)))

    def test_columns_of_one_name_keep_their_places(self, plain: BrenierMap) -> None:
        for given in (pd.DataFrame(SAMPLE, columns=["a", "a"]), pa.Table.from_arrays(list(SAMPLE.T), names=["a", "a"])):
            moved = plain.transform(given)
            assert list(getattr(moved, "column_names", moved.columns)) == ["a", "a"]
            np.testing.assert_array_equal(as_points(moved, "X").values, plain.transform(SAMPLE))

    def test_arrow_tables_keep_what_pandas_wrote_beside_them(self, plain: BrenierMap) -> None:
        given = pd.DataFrame({"a": [1, 2, 3], "b": [0, 5, 1]}, index=pd.RangeIndex(10, 16, 2))
        moved = plain.transform(pa.Table.from_pandas(given)).to_pandas()
        assert_like(moved, given, plain.transform(given.to_numpy(float)))

    def test_the_input_is_unchanged(self, plain: BrenierMap) -> None:
        given = pandas(SAMPLE)
        moved = plain.transform(given)
        moved.iloc[:] = 0.0
        pd.testing.assert_frame_equal(given, pandas(SAMPLE))

    def test_no_library_is_imported_for_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given = pandas(SAMPLE)
        for name in ("pandas", "polars", "pyarrow"):
            monkeypatch.setitem(sys.modules, name, None)  # importing it now raises
        assert type(like(given, SAMPLE)) is type(given)


class TestSetOutput:
    @pytest.mark.parametrize("kind", ["pandas", "polars"])
    @pytest.mark.parametrize("make", [np.asarray, *MAKERS.values()], ids=["array", *MAKERS.keys()])
    def test_decides(self, make: Callable, kind: str, plain: BrenierMap) -> None:
        expected, kinds = plain.transform(SAMPLE), {"pandas": pd.DataFrame, "polars": polars.DataFrame}
        given = make(SAMPLE)
        try:
            moved = plain.set_output(transform=kind).transform(given)
        finally:
            plain.set_output(transform="default")
        assert isinstance(moved, kinds[kind])
        assert list(moved.columns) == ["x0", "x1"]
        np.testing.assert_array_equal(moved.to_numpy(), expected)
        if kind == "pandas" and isinstance(given, pd.DataFrame):
            pd.testing.assert_index_equal(moved.index, given.index)
        assert_like(plain.transform(pandas(SAMPLE)), pandas(SAMPLE), expected)

    def test_names_are_those_of_the_fit(self, named: BrenierMap) -> None:
        try:
            assert list(named.set_output(transform="polars").transform(SAMPLE).columns) == ["a", "b"]
        finally:
            named.set_output(transform="default")


def pandas_frame(column: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": [1.0, 2.0, 3.0], "kind": column})


class TestLabels:
    @pytest.mark.parametrize(
        "frame",
        [
            pandas_frame(pd.Categorical(["x", "y", None])),
            pandas_frame(pd.Categorical([1, 2, 2])),
            pandas_frame([True, False, True]),
            pandas_frame(pd.array([True, None, True], dtype="boolean")),
            pandas_frame(pd.array([True, None, True], dtype="bool[pyarrow]")),
            pandas_frame(pd.Series([True, None, False], dtype=object)),
            pandas_frame(pd.arrays.SparseArray([True, False, True])),
            pandas_frame(pd.array(["x", "y", None], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string())))),
            polars.DataFrame({"a": [1.0, 2.0], "kind": polars.Series(["x", None], dtype=polars.Categorical)}),
            polars.DataFrame({"a": [1.0, 2.0], "kind": polars.Series(["x", "y"], dtype=polars.Enum(["x", "y"]))}),
            polars.DataFrame({"a": [1.0, 2.0], "kind": [True, None]}),
            pa.table({"a": [1.0, 2.0], "kind": pa.array(["x", None]).dictionary_encode()}),
            pa.table({"a": [1.0, 2.0], "kind": pa.array([1, 2]).dictionary_encode()}),
            pa.table({"a": [1.0, 2.0], "kind": [True, None]}),
        ],
    )
    def test_are_no_points(self, frame: Any) -> None:
        message = (
            "^`X` has columns of categories or truth values: `kind`. Encode them as numbers, or pass them as "
            "`x_condition` and `y_condition`.$"
        )
        with pytest.raises(InputError, match=message):
            as_points(frame, "X")

    def test_are_named_beside_text(self) -> None:
        frame = pandas_frame([True, False, True]).assign(when=datetime.date(2020, 1, 1), word="w")
        with pytest.raises(
            InputError, match=r"text, dates or lists: `word`. Drop or encode them. `X` has .*: `kind`. En"
        ):
            as_points(frame, "X")

    def test_in_arrays_of_objects(self) -> None:
        message = "`X` has columns of truth values: 1. Encode them"
        with pytest.raises(InputError, match=message):
            as_points(pandas_frame([True, None, False]).to_numpy(), "X")

    @pytest.mark.parametrize(
        ("column", "expected"),
        [
            (pd.Categorical([3.0, 1.0, 3.0]), ["3", "1", "3"]),
            (pd.Categorical(["x", "y", "x"]), ["x", "y", "x"]),
            ([True, False, True], [True, False, True]),
        ],
    )
    def test_are_conditions(self, column: Any, expected: list) -> None:
        (read,) = read_conditions(pd.DataFrame({"kind": column}), 3, "x_condition")
        assert read.values.tolist() == expected

    @pytest.mark.parametrize(
        "frame",
        [
            pd.DataFrame({"kind": pd.Categorical(["x", None, "x"])}),
            pa.table({"kind": pa.array(["x", None, "x"]).dictionary_encode()}),
            polars.DataFrame({"kind": polars.Series(["x", None, "x"], dtype=polars.Categorical)}),
        ],
    )
    def test_that_are_missing_are_no_class(self, frame: Any) -> None:
        with pytest.raises(InputError, match="`x_condition`, column `kind` has 1 missing entries, in rows 1"):
            read_conditions(frame, 3, "x_condition")

    @pytest.mark.parametrize("command", ["fit p.parquet p.parquet -o m", "transform m p.parquet -o o.csv"])
    def test_on_the_command_line(self, command: str, tmp_path: Path, monkeypatch, plain: BrenierMap) -> None:
        monkeypatch.chdir(tmp_path)
        plain.map_.save("m")
        frame = pd.DataFrame({"a": [1.0, 2.0], "sex": pd.Categorical(["f", "m"]), "ever smoked": [True, False]})
        frame.to_parquet("p.parquet")
        result = CliRunner().invoke(app, command.split())
        assert result.exit_code == 2
        assert result.stderr.splitlines() == [
            "error: `p.parquet` has columns of categories or truth values: `sex`, `ever smoked`. Encode them as "
            "numbers, or use `brenier fit --condition sex --condition 'ever smoked'`."
        ]

    def test_in_files_of_truth_values(self, tmp_path: Path) -> None:
        np.save(tmp_path / "p.npy", np.ones((4, 2), bool))
        result = CliRunner().invoke(app, ["fit", f"{tmp_path}/p.npy", f"{tmp_path}/p.npy", "-o", f"{tmp_path}/m"])
        assert "p.npy` holds truth values (dtype bool)" in result.stderr
        assert "`astype(float)`" in result.stderr


class TestGaps:
    @pytest.mark.parametrize(
        "frame",
        [
            pd.DataFrame({"age": [1.0, np.nan, np.nan], "x": [1, 2, 3], "dose": [None, 2.0, 3.0]}),
            pd.DataFrame({"age": [1, None, None], "x": [1, 2, 3], "dose": [None, 2, 3]}, dtype="Int64"),
            pd.DataFrame({"age": [1, None, None], "x": [1, 2, 3], "dose": [None, 2, 3]}, dtype="double[pyarrow]"),
            pd.DataFrame({"age": [1, pd.NA, None], "x": [1, 2, 3], "dose": [np.nan, 2, 3]}, dtype=object),
            polars.DataFrame({"age": [1, None, None], "x": [1, 2, 3], "dose": [None, 2.0, 3.0]}),
            pa.table({"age": [1, None, None], "x": [1, 2, 3], "dose": [None, decimal.Decimal(2), decimal.Decimal(3)]}),
        ],
    )
    def test_are_counted_by_column(self, frame: Any, tmp_path: Path) -> None:
        message = (
            r"contains NaN \(`age` 2, `dose` 1 of 3 rows\), in rows 0, 1, 2. Drop these rows, or fill in the values.$"
        )
        with pytest.raises(InputError, match=message):
            as_points(frame, "X")

    def test_in_a_column_without_values(self) -> None:
        frame = pd.DataFrame({"a": [1.0, np.nan], "b": [None, None], "c": [1, 2]})
        with pytest.raises(
            InputError, match=r"`a` 1, `b` 2 of 2 .*without any finite value, `b`. Elsewhere drop rows, or"
        ):
            as_points(frame, "X")

    def test_in_a_single_row(self) -> None:
        with pytest.raises(InputError, match=r"NaN \(column 1: 1 of 1 rows\), in rows 0. Drop these rows, or fill"):
            as_points([[1.0, None]], "X")

    def test_infinity_beside_them(self) -> None:
        frame = polars.DataFrame({"a": [1.0, None, 2.0], "b": [0.0, float("inf"), float("-inf")]})
        with pytest.raises(InputError, match=r"NaN \(`a` 1 of 3 rows\) and infinity \(`b` 2 of 3 rows\), in rows 1, 2"):
            as_points(frame, "X")


class TestColumns:
    def test_of_both_sides_that_differ(self) -> None:
        x, y = (as_points(pd.DataFrame(X, columns=names), "X") for names in (["a", "b"], ["b", "c"]))
        three = as_points(pd.DataFrame(np.c_[X, X**2][:, :3], columns=["a", "c", "d"]), "Y")
        with pytest.raises(
            InputError, match=r"\(60, 2\) and \(60, 3\). `X` alone has `b`. `Y` alone has `c`, `d`. Select"
        ):
            check_pair(x, three)
        with pytest.raises(
            InputError, match=r"same names in different places: a, b against b, c. Columns are matched by"
        ):
            check_pair(x, y)

    def test_of_both_sides_whose_names_differ_in_part(self) -> None:
        x, y = (Table(X, names) for names in (["a", "b"], ["a", "c"]))
        with pytest.warns(DataWarning, match="Some columns of `X` and `Y` have other names .*: `b` against `c`. If"):
            check_pair(x, y)

    def test_of_one_name(self) -> None:
        with pytest.warns(DataWarning, match="`X` has several columns of one name: `a`. They are told apart by place"):
            check_pair(Table(X, ["a", "a"]), Table(Y))
        with pytest.raises(InputError, match=r"NaN \(`a` \(column 1\) 1 of 1 rows\)"):
            as_points(pd.DataFrame([[1.0, None]], columns=["a", "a"]), "X")

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["b", "a"], r"\['a', 'b'\], in that order; got \['b', 'a'\], in another order. Select"),
            (["a", "c"], r"got \['a', 'c'\]: it lacks `b` and adds `c`. Select the columns of the fit"),
            (["a"], r"got \['a'\]: it lacks `b`."),
            (["a", "b", "c"], r"got \['a', 'b', 'c'\]: it adds `c`."),
        ],
    )
    def test_after_the_fit(self, names: list[str], message: str, named: BrenierMap) -> None:
        given = pd.DataFrame(np.ones((3, len(names))), columns=names)
        for method in (named.transform, named.map_.forward, lambda x: named.map_.interpolate(x, 0.5)):
            with pytest.raises(InputError, match=f"^`X` must have the columns of the fit, .*{message}"):
                method(given)
        with pytest.raises(InputError, match=r"^`Y` must have the columns of the fit"):
            named.map_.inverse(given)

    @pytest.mark.parametrize("column", [pd.date_range("2020", periods=3), pd.timedelta_range("1D", periods=3)])
    def test_of_times(self, column: Any) -> None:
        for frame in (pandas_frame(column), polars.DataFrame(pandas_frame(column)), pa.table(pandas_frame(column))):
            with pytest.raises(InputError, match="text, dates or lists: `kind`"):
                as_points(frame, "X")

    def test_of_decimals(self) -> None:
        entries = [decimal.Decimal("0.1"), decimal.Decimal("2"), decimal.Decimal("-3")]
        for frame in (pandas_frame(entries), pa.table({"a": [1.0, 2.0, 3.0], "kind": entries})):
            np.testing.assert_array_equal(as_points(frame, "X").values[:, 1], [0.1, 2.0, -3.0])

    def test_that_never_change(self) -> None:
        x = as_points(pandas_frame([4, 4, 4]), "X")
        with pytest.warns(DataWarning, match=r"are constant: `kind` \(`X`\). The map moves them by"):
            check_pair(x, Table(Y))

    def test_of_frames_that_are_not_computed(self) -> None:
        with pytest.raises(InputError, match=r"`X` is a LazyFrame, which is not computed yet. Pass `X.collect\(\)`"):
            as_points(polars.LazyFrame({"a": [1.0]}), "X")
