"""Conditions as they come in: read, told apart, encoded, refused."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from brenier import InputError
from brenier.conditions.space import ConditionSpace, find_space
from brenier.data.conditions import read_conditions

LABELS = ["b", "a", "b", "c"]
DOSES = [0.5, 2.0, 1.0, 3.5]


def space(x, y=None, kinds=None) -> ConditionSpace:
    y = x if y is None else y
    return find_space(read_conditions(x, len(x), "x_condition"), read_conditions(y, len(y), "y_condition"), kinds)[0]


def kinds_of(found: ConditionSpace) -> list[str]:
    return [variable.kind for variable in found.variables]


class TestKinds:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            (LABELS, "label"),
            (np.array(LABELS), "label"),
            (np.array(LABELS, dtype=object), "label"),
            ([True, False, True], "label"),
            ([0, 3, 3, 1], "label"),
            (np.arange(20, dtype=np.uint8), "label"),
            (np.arange(21), "number"),
            (DOSES, "number"),
            ([1, 2.5, 4], "number"),
            (np.array([1, 2, 7], dtype=object), "label"),
            (np.array([1.0, 2.5, 7.0], dtype=object), "number"),
            (pd.Series(LABELS, dtype="category"), "label"),
            (pd.Series([1.0, 2.0, 4.0], dtype="category"), "label"),
            (pd.Series(DOSES), "number"),
            (pl.Series(LABELS), "label"),
            (pl.Series(DOSES), "number"),
            (pa.array(DOSES), "number"),
        ],
    )
    def test_detected(self, values, kind):
        assert kinds_of(space(values)) == [kind]

    def test_declared(self):
        assert kinds_of(space([0, 3, 3, 1], kinds="number")) == ["number"]
        frame = pd.DataFrame({"dose": [1, 2, 3, 4, 5, 6], "cell": list("aabbaa"), "plate": [1, 1, 2, 2, 1, 1]})
        found = space(frame, kinds={"dose": "number"})
        assert [tuple(variable) for variable in found.variables] == [
            ("dose", "number"),
            ("cell", "label"),
            ("plate", "label"),
        ]
        assert kinds_of(space(frame, kinds=["number", "label", "label"])) == ["number", "label", "label"]

    def test_text_and_few_integers_are_the_same_labels(self):
        found = space(["1", "2", "2"], np.array([1.0, 2.0, 2.0]))
        assert kinds_of(found) == ["label"]
        assert found.classes == (("1",), ("2",))

    def test_a_declaration_that_is_none(self):
        with pytest.raises(InputError, match=r"`condition_types` names \['cel'\], but .* the columns \['cell'\]"):
            space(pd.DataFrame({"cell": list("aabb")}), kinds={"cel": "label"})
        with pytest.raises(InputError, match=r"`condition_types` must be 'label' or 'number'.*'ordinal'"):
            space(DOSES, kinds="ordinal")
        with pytest.raises(InputError, match=r"`condition_types` must have one entry for each of the 1 columns"):
            space(DOSES, kinds=["number", "label"])
        with pytest.raises(InputError, match=r"`x_condition` must hold numbers.*'b'"):
            space(LABELS, kinds="number")


class TestCodes:
    def test_classes_are_in_order_and_numbers_from_minus_one_to_one(self):
        frame = pd.DataFrame({"cell": LABELS + LABELS, "dose": [*DOSES, 1.5, 4.0, 2.0, 7.5]})
        found = space(frame)
        assert found.classes == (("a",), ("b",), ("c",))
        # Ranges: class a 2 to 4, b 0.5 to 2, c 3.5 to 7.5; the codes have 0.5 to 7.5 as -1 to 1.
        np.testing.assert_array_equal(found.low[:, 0], [2.0, 0.5, 3.5])
        np.testing.assert_array_equal(found.high[:, 0], [4.0, 2.0, 7.5])
        expected = [[1, -1], [0, 2 * 1.5 / 7 - 1], [1, 2 * 0.5 / 7 - 1], [2, 2 * 3 / 7 - 1]]
        np.testing.assert_allclose(found.encode(frame[:4], 4, "condition"), expected, atol=1e-15)
        np.testing.assert_allclose(found.encode(("b", 4.0), 2, "condition"), [[1, 0], [1, 0]], atol=1e-15)
        np.testing.assert_allclose(found.encode({"dose": 4.0, "cell": "b"}, 1, "condition"), [[1, 0]], atol=1e-15)

    @pytest.mark.parametrize("same", [3, np.int64(3), "3", 3.0, np.array(3)])
    def test_a_label_is_one_whatever_its_type(self, same):
        assert space([1, 3, 3, 7]).encode(same, 1, "condition")[0, 0] == 1

    def test_combinations_of_labels_are_classes(self):
        frame = pd.DataFrame({"cell": ["a", "a", "b"], "plate": [1, 2, 2]})
        found = space(frame)
        assert found.classes == (("a", "1"), ("a", "2"), ("b", "2"))
        with pytest.raises(InputError, match=r"classes that the fit has not seen on both sides: 'b, 1'"):
            found.encode(("b", 1), 1, "condition")

    def test_columns_are_found_by_name(self):
        frame = pd.DataFrame({"cell": LABELS, "dose": DOSES})
        found = space(pd.concat([frame, frame.assign(dose=5.0)]))
        expected = found.encode(frame, 4, "condition")
        turned = frame.assign(other=1)[["dose", "other", "cell"]]
        np.testing.assert_array_equal(found.encode(turned, 4, "condition"), expected)
        with pytest.raises(InputError, match=r"must have the 2 column\(s\) of the fit, `cell`, `dose`; got 1: `cell`"):
            found.encode(frame[["cell"]], 4, "condition")

    def test_a_record_is_json_and_exact(self):
        found = space(pd.DataFrame({"cell": LABELS * 2, "dose": [*DOSES, 1 / 3, 4.0, 0.1, 9.0]}))
        again = ConditionSpace.from_record(json.loads(json.dumps(found.record())))
        assert (again.variables, again.classes) == (found.variables, found.classes)
        np.testing.assert_array_equal(again.low, found.low)
        np.testing.assert_array_equal(again.high, found.high)

    def test_outside_is_beyond_a_fiftieth_of_the_range(self):
        found = space([0.0, 10.0])
        codes = found.encode([-0.3, -0.1, 0.0, 10.1, 10.3], 5, "condition")
        np.testing.assert_array_equal(found.outside(codes), [0, 4])


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "rows", "message"),
        [
            (LABELS, 5, r"`c` must have one entry for each of the 5 points; got 4"),
            (["a", None, "b"], 3, r"`c` has 1 missing entries, in rows 1"),
            ([0.5, np.nan, np.nan], 3, r"`c` has 2 missing entries, in rows 1, 2"),
            (["a", " "], 2, r"`c` has 1 missing entries, in rows 1"),
            (pd.Series(["a", pd.NA], dtype="string"), 2, r"`c` has 1 missing entries, in rows 1"),
            (pd.DataFrame({"dose": [1.0, None]}), 2, r"`c`, column `dose` has 1 missing entries"),
            ([0.5, np.inf], 2, r"`c` has infinite entries"),
            ([1j, 2j], 2, r"`c` must hold labels or numbers; got dtype complex128"),
            (np.zeros((2, 2, 2)), 2, r"`c` must be one entry a point.*got shape \(2, 2, 2\)"),
            (np.zeros((2, 0)), 2, r"`c` has no columns"),
        ],
    )
    def test_columns(self, value, rows, message):
        with pytest.raises(InputError, match=message):
            read_conditions(value, rows, "c")

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            (["a", "b"], ["c", "d"], r"have no class in common. `x_condition` has classes.*'a', 'b'.*'c', 'd'"),
            ([0.0, 1.0], [2.0, 3.0], r"the ranges of the number do not overlap.*between 2 and 1"),
            ([0.5, 0.5], [0.5, 0.5], r"the ranges of the number do not overlap"),
            (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]}), r"same columns in one order; got \['a'\]"),
            (np.zeros((2, 1)), np.zeros((2, 2)), r"must have the same columns; got 1 and 2"),
            ([0.5, 1.5], ["0.5", "high"], r"`y_condition` holds text, such as 'high', where `x_condition` holds.*0.5"),
            (
                pd.DataFrame({"dose": ["low", "2"]}),
                pd.DataFrame({"dose": range(40)}),
                r"`x_condition`, column `dose`, holds text, such as 'low', where `y_condition` holds numbers",
            ),
        ],
    )
    def test_pairs(self, x, y, message):
        with pytest.raises(InputError, match=message):
            space(x, y)

    def test_a_number_that_never_changes_in_one_class_is_named(self):
        frame = pd.DataFrame({"cell": ["a", "a", "b", "b"], "dose": [0.0, 1.0, 2.0, 2.0]})
        with pytest.raises(InputError, match=r"the number `dose` do not overlap in class 'b'"):
            space(frame)
