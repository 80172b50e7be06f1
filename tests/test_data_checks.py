"""What users may pass, what they are told when it cannot be used, and what is only worth a warning."""

import datetime
import decimal
import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from brenier._errors import DataWarning, InputError
from brenier.data import InputTypeError, Table, as_points, check_pair
from brenier.data.copies import near_copies

EXPECTED = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
FRAME = {"a": [1.0, 3.0, 5.0], "b": [2, 4, 6]}


def refuses(value: Any, message: str, **options: Any) -> None:
    with pytest.raises(InputError, match=message):
        as_points(value, "X", **options)


def cloud(n: int = 200, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def table(values: Any, columns: list[str] | None = None) -> Table:
    return Table(np.asarray(values, np.float64), columns)


class TestConversion:
    @pytest.mark.parametrize(
        "convert",
        [
            np.asarray,
            np.asfortranarray,
            lambda values: values.tolist(),
            lambda values: tuple(map(tuple, values)),
            lambda values: values.astype(np.float32),
            lambda values: values.astype(np.longdouble),
            lambda values: values.astype(np.int8),
            lambda values: values.astype(np.uint64),
            lambda values: values.astype(object),
            lambda values: [[decimal.Decimal(int(entry)) for entry in row] for row in values],
            lambda values: np.ma.masked_array(values, mask=False),
            lambda values: jnp.asarray(values),
            lambda values: Table(values),
        ],
    )
    def test_arrays(self, convert: Callable[[np.ndarray], Any]) -> None:
        result = as_points(convert(EXPECTED), "X")
        np.testing.assert_array_equal(result.values, EXPECTED)
        assert result.values.dtype == np.float64
        assert result.columns is None

    @pytest.mark.parametrize(
        "frame",
        [
            pd.DataFrame(FRAME),
            pd.DataFrame(FRAME).astype({"b": "Int64"}),
            pd.DataFrame(FRAME).astype({"b": object}),
            pd.DataFrame(FRAME).astype({"a": pd.SparseDtype("float64", 0.0)}),
            pd.DataFrame(FRAME, index=["u", "v", "w"]),
            pa.table(FRAME),
            pa.table(FRAME).to_batches()[0],
            pa.table({"a": FRAME["a"], "b": pa.array(map(decimal.Decimal, FRAME["b"]))}),
            Table(EXPECTED, ["a", "b"]),
        ],
    )
    def test_frames_keep_their_names(self, frame: Any) -> None:
        result = as_points(frame, "X")
        np.testing.assert_array_equal(result.values, EXPECTED)
        assert result.columns == ["a", "b"]

    def test_polars(self) -> None:
        polars = pytest.importorskip("polars")
        result = as_points(polars.DataFrame(FRAME), "X")
        np.testing.assert_array_equal(result.values, EXPECTED)
        assert result.columns == ["a", "b"]
        refuses(polars.DataFrame({"a": [1.0, 2.0], "kind": ["g", "h"]}), "columns of text, dates or lists: `kind`")
        refuses(polars.DataFrame({"a": [[1.0], [2.0]]}), "got .* in row 0, column `a` .*a list")
        refuses(polars.DataFrame({"a": [1, None]}), r"NaN \(`a` 1 of 2 rows\), in rows 1. Drop these")

    def test_names_that_are_not_all_text_are_dropped(self) -> None:
        assert as_points(pd.DataFrame(EXPECTED), "X").columns is None
        assert as_points(pd.DataFrame(EXPECTED, columns=["a", 1]), "X").columns is None

    @pytest.mark.parametrize("convert", [list, np.array])
    def test_truth_values_are_refused_unless_converted(self, convert: Callable[[Any], Any]) -> None:
        value = convert([[True], [False]])
        refuses(
            value, r"`X` holds truth values \(dtype bool\). .* with `astype\(float\)`. .* pass them as `x_condition`"
        )
        np.testing.assert_array_equal(as_points(np.asarray(value).astype(float), "X").values, [[1.0], [0.0]])

    @given(hnp.arrays(np.int64, (3, 2), elements=st.integers(1 - 2**53, 2**53 - 1)))
    def test_integers_are_exact(self, values: np.ndarray) -> None:
        assert as_points(values, "X").values.astype(np.int64).tolist() == values.tolist()

    @pytest.mark.parametrize("dtype", [np.float64, np.int32, object])
    def test_input_is_unchanged(self, dtype: type) -> None:
        value = EXPECTED.astype(dtype)
        before = value.copy()
        as_points(value, "X")
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, before)
        assert value.flags.writeable

    def test_result_is_read_only(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            as_points(EXPECTED, "X").values[0, 0] = 7.0

    def test_16_bit_floats_warn(self) -> None:
        with pytest.warns(DataWarning, match="`X` has dtype float16, which keeps about 3 significant digits"):
            result = as_points(EXPECTED.astype(np.float16), "X")
        np.testing.assert_array_equal(result.values, EXPECTED)
        with pytest.warns(DataWarning, match="dtype bfloat16, which keeps about 2"):
            as_points(jnp.ones((2, 2), jnp.bfloat16), "X")

    @pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1])
    def test_huge_integers_warn(self, value: int) -> None:
        message = f"integers of 2^53 or more, which float64 rounds, such as {value} in column `id`. Is a column of id"
        with pytest.warns(DataWarning, match=re.escape(message)):
            as_points(pd.DataFrame({"a": [1, 2], "id": [3, value]}), "X")

    def test_warnings_point_at_the_caller(self) -> None:
        with pytest.warns(DataWarning) as conversion:
            as_points(EXPECTED.astype(np.float16), "X")
        with pytest.warns(DataWarning) as pair:
            check_pair(table(cloud()), table(cloud() * 1e5))
        assert (len(conversion), len(pair)) == (1, 1)
        assert {warning.filename for warning in [*conversion, *pair]} == {__file__}


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (3.0, "`X` must be a 2-D array, a row for each point; got a float"),
            ("points.csv", "got a str"),
            (None, "got a NoneType"),
            (np.ones(5), r"`X` must be 2-D, .* got shape \(5,\). Reshape your data: to \(n, 1\) .* to \(1, n\)"),
            (pd.Series([1.0, 2.0]), r"got shape \(2,\). Reshape your data"),
            ([], r"got shape \(0,\). Reshape your data"),
            (np.ones((2, 3, 4)), r"got shape \(2, 3, 4\). Flatten each point to one row: `reshape\(len\(X\), -1\)`"),
            (np.ones((0, 3)), r"`X` has 0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1 is required"),
            (np.ones((12, 0)), r"`X` has 0 feature\(s\) \(shape=\(12, 0\)\) while a minimum of 1 is required."),
            (pd.DataFrame({"a": []}), r"`X` has 0 sample\(s\) \(shape=\(0, 1\)\)"),
            (pd.DataFrame(index=[0, 1]), r"`X` has 0 feature\(s\) \(shape=\(2, 0\)\)"),
            ([[1.0, 2.0], [3.0]], "`X` cannot be read as an array of rows of equal length"),
            (EXPECTED + 1j, "Complex data not supported: `X` has dtype complex128"),
            ([[1.0, None, 2j]], "Complex data not supported"),
            (EXPECTED.astype("datetime64[s]"), r"`X` must hold numbers; got dtype datetime64\[s\]. Drop or encode"),
            (EXPECTED.astype("timedelta64[s]"), r"`X` must hold numbers; got dtype timedelta64\[s\]"),
            (np.array([["1", "2"]]), "`X` must hold numbers; got dtype <U1"),
            ([[1.0, "cat"]], r"`X` must hold numbers; got 'cat' in row 0, column 1 \(text\). Drop or encode"),
            ([[1.0, b"cat"]], r"got b'cat' in row 0, column 1 \(text\)"),
            ([[1.0, 2.0], [10**400, 3.0]], "got 1000.* in row 1, column 0 .*too large"),
            ([[1.0, datetime.date(2020, 1, 2)]], r"got datetime.date\(2020, 1, 2\) in row 0, column 1"),
            (
                np.ma.masked_array(EXPECTED, EXPECTED > 4.5),
                r"`X` has masked entries \(column 0: 1, column 1: 1 of 3 rows\). Fill them \(`X.filled",
            ),
            (scipy.sparse.csr_array(EXPECTED), r"`X` is a csr_array; sparse .* not supported. Pass `X.toarray\(\)`"),
            (scipy.sparse.csc_matrix(EXPECTED), "`X` is a csc_matrix; sparse"),
            ([[1.0, 2e101]], r"`X` has values up to 2e\+101, whose squares overflow"),
            ([[1.0, -2e101]], r"`X` has values up to 2e\+101, whose squares overflow"),
        ],
    )
    def test_arrays(self, value: Any, message: str) -> None:
        refuses(value, message)

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            (["g", "h", None], "`X` has columns of text, dates or lists: `kind`. Drop or encode them"),
            (
                pd.Categorical([1, 2, 1]),
                "categories or truth values: `kind`. Encode them as numbers, or pass them as `x_cond",
            ),
            (pd.date_range("2020", periods=3), "text, dates or lists: `kind`"),
            (pd.date_range("2020", periods=3, tz="UTC"), "text, dates or lists: `kind`"),
            (pd.Series([1, "g", None], dtype=object), r"got 'g' in row 1, column `kind` \(text\)"),
            ([[1.0], [2.0], [3.0]], r"got \[1.0\] in row 0, column `kind` \(a list\)"),
            (pd.array([1, None, 3], dtype="Int64"), r"NaN \(`kind` 1 of 3 rows\), in rows 1. Drop these rows"),
            (pd.array([True, None, True], dtype="boolean"), "categories or truth values: `kind`"),
            (pd.Series([1, pd.NA, 3], dtype=object), r"NaN \(`kind` 1 of 3 rows\), in rows 1"),
            (pd.Series([None, None, None], dtype=object), r"3 of 3 rows\), in rows 0, 1, 2. Drop columns .* `kind`.$"),
            (np.array([1, 2, 3j]), "Complex data not supported"),
        ],
    )
    def test_columns_of_frames(self, column: Any, message: str) -> None:
        refuses(pd.DataFrame({"a": [1.0, 2.0, 3.0], "kind": column}), message)

    def test_columns_of_arrow_tables(self) -> None:
        refuses(pa.table({"a": [1], "kind": ["g"], "when": [datetime.date(2020, 1, 2)]}), "lists: `kind`, `when`. Drop")
        refuses(pa.table({"a": [1, None]}), r"NaN \(`a` 1 of 2 rows\), in rows 1")

    def test_more_than_five_columns_are_counted(self) -> None:
        refuses(pd.DataFrame({f"c{j}": ["text"] for j in range(8)}), "`c3`, `c4` and 3 more. Drop")

    def test_a_kind_that_is_no_number_is_a_type_error_too(self) -> None:
        value = EXPECTED.astype(object)
        value[0, 0] = {"foo": "bar"}
        with pytest.raises(TypeError, match=r"got {'foo': 'bar'} in row 0, column 0 .*must be .* string.* number"):
            as_points(value, "X")
        assert issubclass(InputTypeError, InputError)

    @pytest.mark.parametrize(
        ("places", "message"),
        [
            ({(1, 0): np.nan}, r"`X` contains NaN \(column 0: 1 of 3 rows\), in rows 1. Drop these rows, or fill"),
            ({(2, 1): -np.inf}, r"`X` contains infinity \(column 1: 1 of 3 rows\), in rows 2."),
            (
                {(0, 0): np.nan, (1, 0): np.nan, (1, 1): np.inf},
                r"NaN \(column 0: 2 of 3 rows\) and infinity \(column 1: 1 of 3 rows\), in rows 0, 1. Drop these",
            ),
        ],
    )
    def test_not_finite(self, places: dict[tuple[int, int], float], message: str) -> None:
        value = EXPECTED.copy()
        for place, entry in places.items():
            value[place] = entry
        refuses(value, message)

    def test_many_bad_rows_are_counted(self) -> None:
        refuses(np.full((9, 1), np.nan), "in rows 0, 1, 2, 3, 4 and 4 more. Drop columns without any finite value, 0.")

    def test_other_number_of_columns(self) -> None:
        message = r"`X` must have 3 columns, as in `fit`; got shape \(10, 4\). Is an index column still in the data\?"
        refuses(np.ones((10, 4)), message, columns=3)
        refuses(np.ones((10, 2)), r"got shape \(10, 2\). Select the columns of the fit", columns=3)
        assert as_points(np.ones((10, 3)), "X", columns=3).values.shape == (10, 3)


class TestPairs:
    def test_ordinary_pairs_are_silent(self) -> None:
        check_pair(table(cloud()), table(cloud(50, seed=1) * [1, 50, 3] + 7))
        check_pair(table(cloud(), ["a", "b", "c"]), table(cloud(), ["u", "v", "w"]))

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            (
                table(cloud()),
                table(cloud(10, 2)),
                r"`X` and `Y` must have the same number of columns; got shapes \(200, 3\) and \(10, 2\)",
            ),
            (
                table(cloud(), ["a", "b", "c"]),
                table(cloud(), ["b", "a", "c"]),
                r"same columns in another order: a, b, c against b, a, c. Reorder one side, .* `Y\[X.columns\]`",
            ),
            (
                table(cloud(1)),
                table(cloud()),
                "`X` has 1 sample; a distribution .* a minimum of 2 is required",
            ),
            (table(cloud()), table(cloud(1)), "`Y` has 1 sample"),
            (
                table(cloud(9, 1) * 0 + 4.5, ["b"]),
                table(cloud(9, 1)),
                r"`X` has constant columns, .*: `b` \(always 4.5\). Drop them",
            ),
            (table(cloud(9, 2)), table(cloud(9, 2) * 0), r"`Y` has .*: 0 \(always 0\), 1 \(always 0\)"),
            (
                table([[0.3], [0.1 + 0.2], [0.3]]),
                table(cloud(9, 1)),
                r"constant .* 0 \(always 0.3\)",
            ),
            (table(cloud() * 1e-110), table(cloud()), r"`X` has columns whose squares underflow: 0 \(range .*e-110\)"),
        ],
    )
    def test_refusals(self, x: Table, y: Table, message: str) -> None:
        with pytest.raises(InputError, match=message):
            check_pair(x, y)

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (cloud(3), "`X` has 3 samples for 3 dimensions, so most directions are unknown"),
            (cloud(2), "`X` has 2 samples for 3 dimensions"),
            (np.repeat(cloud(90), 3, axis=0), "67 % of the rows of `X` repeat earlier rows"),
            (cloud() @ np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0]]), "`X` has linearly dependent columns, among them `"),
            (cloud() * 2e3, "`Y` is spread 0.000.* times as widely as `X`. Are both in the same units?"),
            (cloud() * 5e-4, "`Y` is spread 1.*e.03 times as widely as `X`"),
        ],
    )
    def test_warnings(self, x: np.ndarray, message: str) -> None:
        with pytest.warns(DataWarning) as caught:
            check_pair(table(x, ["a", "b", "c"]), table(cloud(seed=1)))
        assert len(caught) == 1
        assert re.search(message, str(caught[0].message))

    @pytest.mark.parametrize("noise", [1e-12, 1e-7, 1e-4])
    @pytest.mark.parametrize(("dim", "copies"), [(3, 1), (3, 9), (40, 1)])
    def test_copies_with_noise_are_counted(self, dim: int, copies: int, noise: float) -> None:
        own = cloud(100, dim)
        near = np.concatenate([own, *(own + noise * cloud(100, dim, seed=2 + number) for number in range(copies))])
        share = 100 * copies / (copies + 1)
        with pytest.warns(DataWarning, match=f"{share:.0f} % of the rows of `X` lie more than a hundred times closer"):
            check_pair(table(near), table(cloud(100, dim)))

    @pytest.mark.parametrize("rows", [60, 1000, 20_000])
    @pytest.mark.parametrize("kind", ["normal", "Cauchy", "dense", "integers", "clusters", "line", "log-normal"])
    def test_other_rows_are_no_copies(self, kind: str, rows: int) -> None:
        rng = np.random.default_rng(rows)
        values = {
            "normal": lambda: rng.standard_normal((rows, 8)),
            "Cauchy": lambda: rng.standard_cauchy((rows, 3)),
            "dense": lambda: rng.uniform(size=(rows, 1)),
            "integers": lambda: rng.poisson(5.0, (rows, 2)).astype(float),
            "clusters": lambda: rng.integers(2, size=(rows, 1)) + 1e-4 * rng.standard_normal((rows, 2)),
            "line": lambda: rng.standard_normal((rows, 1)) * np.ones(20) + 1e-6 * rng.standard_normal((rows, 20)),
            "log-normal": lambda: np.exp(3.0 * rng.standard_normal((rows, 2))),
        }[kind]()
        assert near_copies((values - values.mean(axis=0)) / values.std(axis=0)) == 0.0

    def test_dependent_columns_are_named_and_others_are_not(self) -> None:
        values = cloud(200, 4)
        values[:, 3] = 2 * values[:, 1] - 5
        with pytest.warns(DataWarning, match=r"among them [13], [13]. Drop"):
            check_pair(table(values), table(cloud(200, 4)))

    def test_nearly_dependent_columns_pass(self) -> None:
        values = cloud(200, 4)
        values[:, 3] = values[:, 1] + 1e-3 * values[:, 3]
        check_pair(table(values), table(cloud(200, 4)))

    def test_the_target_is_checked_like_the_source_and_names_can_be_given(self) -> None:
        with pytest.warns(DataWarning, match="`TARGET` has 2 samples for 3 dimensions"):
            check_pair(table(cloud()), table(cloud(2)), names=("SOURCE", "TARGET"))

    @given(st.lists(st.tuples(st.sampled_from([0.0, -0.0, 1.0, 2.0]), st.sampled_from([1.0, 3.0])), min_size=4))
    def test_repeats_are_counted_exactly(self, rows: list[tuple[float, float]]) -> None:
        # Two distinct extra columns keep all other checks quiet, whatever the rows.
        values = np.concatenate([[[5.0, 9.0], [6.0, 2.0], [7.0, 11.0]], rows])
        share = 1 - len({(float(a) + 0.0, b) for a, b in values}) / len(values)
        if share > 0.5:
            with pytest.warns(DataWarning, match=f"{100 * share:.0f} % of the rows"):
                check_pair(table(values), table(cloud(50, 2)))
        else:
            check_pair(table(values), table(cloud(50, 2)))

    def test_magnitudes_near_the_limits_pass(self) -> None:
        check_pair(table(cloud() * 1e98), table(cloud() * 1e98))
        check_pair(table(cloud() * 1e-98), table(cloud() * 1e-98))
