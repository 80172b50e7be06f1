"""Fits under a condition: known maps, conventions, messages, files."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from asserts import assert_at_most, assert_close
from brenier import BrenierMap, DataWarning, InputError, TransportMap
from brenier.estimators.conditioned import BalancedStream
from brenier.maps import mapfile
from brenier.metrics import unexplained_variance
from brenier_bench.datasets import FamilyPair

STEPS = 512


def shaped(x: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Monotone in each column, so the optimal map: another function for each kind."""
    bent = np.where((kind == "bent")[:, None], np.sinh(0.9 * x), x + 1.5 * np.tanh(3.0 * x))
    return bent + np.where(kind == "bent", 4.0, -1.0)[:, None]


@pytest.fixture(scope="module")
def labelled() -> tuple[BrenierMap, np.ndarray, np.ndarray]:
    """A fit with two kinds, one of them four times as frequent on one side, and test points."""
    rng = np.random.default_rng(5)  # so many rows that rounding, which differs by machine, decides nothing
    kind_x = rng.choice(["bent", "steep"], 8000, p=[0.2, 0.8])
    kind_z = rng.choice(["bent", "steep"], 6400)
    x, z = rng.normal(size=(8000, 2)), rng.normal(size=(6400, 2))
    ot = BrenierMap(max_steps=STEPS, random_state=0, refit=False)
    ot.fit(x, shaped(z, kind_z), x_condition=kind_x, y_condition=kind_z)
    return ot, rng.normal(size=(1000, 2)), rng.choice(["bent", "steep"], 1000)


@pytest.fixture(scope="module")
def graded() -> BrenierMap:
    """A fit with a number: the map bends the more the larger it is."""
    rng = np.random.default_rng(6)
    c, d = rng.uniform(0, 2, 6000), rng.uniform(0, 2, 5000)
    z = rng.normal(size=(5000, 2))
    y = z + d[:, None] * np.tanh(2.0 * z)
    ot = BrenierMap(max_steps=STEPS, random_state=0, refit=False)
    return ot.fit(rng.normal(size=(6000, 2)), y, x_condition=c, y_condition=d)


class TestLabels:
    def test_each_class_has_its_map(self, labelled):
        ot, x, kind = labelled
        exact = shaped(x, kind)
        assert not ot.baseline_
        for own in ("bent", "steep"):
            rows = kind == own
            linear = ot.map_.at(own).geometry
            start = linear.leave_y(linear.enter_x(x[rows]))
            error = unexplained_variance(ot.transform(x[rows], condition=own), exact[rows])
            assert_at_most(error, 0.5 * unexplained_variance(start, exact[rows]), own)

    def test_one_condition_or_one_a_point(self, labelled):
        ot, x, kind = labelled
        together = ot.transform(x, condition=kind)
        for own in ("bent", "steep"):
            np.testing.assert_array_equal(together[kind == own], ot.transform(x[kind == own], condition=own))
            np.testing.assert_array_equal(together[kind == own], ot.map_.at(own).forward(x[kind == own]))

    def test_inverse_and_interpolation(self, labelled):
        ot, x, kind = labelled
        images = ot.transform(x, condition=kind)
        found = ot.inverse_transform(images, condition=kind, return_error=True)
        assert found.converged.all()
        distance = np.linalg.norm(found.points - x, axis=1)
        assert_at_most(distance, found.error + 1e-6 * np.abs(x).max(), "distance to the preimage")
        assert_at_most(found.error, 1e-2, "bound")
        assert_close(ot.inverse_transform(images, condition=kind), x, atol=2e-3)
        half = ot.interpolate(x, 0.25, condition=kind)
        assert_close(half, 0.75 * x + 0.25 * images, atol=1e-12)

    def test_what_is_not_a_condition_of_the_fit(self, labelled):
        ot, x, _ = labelled
        with pytest.raises(InputError, match=r"`condition` is missing: .*classes 'bent', 'steep'"):
            ot.transform(x)
        with pytest.raises(InputError, match=r"has not seen on both sides: 'round'. It knows 'bent', 'steep'"):
            ot.transform(x, condition="round")
        with pytest.raises(InputError, match=r"one entry for each of the 1000 points; got 2"):
            ot.transform(x, condition=["bent", "steep"])

    def test_a_file_has_all_of_it(self, labelled, tmp_path):
        ot, x, kind = labelled
        ot.map_.save(tmp_path / "map.brenier")
        again = TransportMap.load(tmp_path / "map.brenier")
        np.testing.assert_array_equal(again.forward(x, condition=kind), ot.transform(x, condition=kind))
        assert (again.columns, again.info["steps"]) == (ot.map_.columns, STEPS)
        assert mapfile.load(tmp_path / "map.brenier").conditions is not None
        ot.map_.at("bent").save(tmp_path / "one.brenier")
        np.testing.assert_array_equal(
            TransportMap.load(tmp_path / "one.brenier").forward(x), ot.transform(x, condition="bent")
        )
        with pytest.raises(InputError, match=r"`condition` was given, but the fit had none"):
            TransportMap.load(tmp_path / "one.brenier").forward(x, condition="bent")
        with pytest.raises(InputError, match=r"`condition` is missing: this map was fitted with conditions"):
            again.forward(x)

    def test_one_seed_one_result(self):
        rng = np.random.default_rng(0)
        x, y, kind = rng.normal(size=(400, 2)), np.exp(rng.normal(size=(400, 2))), np.arange(400) % 2
        first, second = (
            BrenierMap(max_steps=128, random_state=3).fit(x, y, x_condition=kind, y_condition=kind) for _ in range(2)
        )
        np.testing.assert_array_equal(first.transform(x, condition=kind), second.transform(x, condition=kind))


class TestNumbers:
    def test_the_map_follows_the_number(self, graded):
        x = np.random.default_rng(1).normal(size=(2000, 2))
        for c in (0.213, 1.0, 1.787):  # none of them in the training points
            exact = x + c * np.tanh(2.0 * x)
            linear = graded.map_.at(c).geometry
            start = unexplained_variance(linear.leave_y(linear.enter_x(x)), exact)
            error = unexplained_variance(graded.transform(x, condition=c), exact)
            # A little of it is noise of the sample, where the exact map is next to linear.
            assert_at_most(error, 0.4 * start + 0.5, f"UVP at {c}")

    def test_many_numbers_are_as_one_by_one(self, graded, rng):
        x, c = rng.normal(size=(300, 2)), rng.uniform(0.1, 1.9, 300)
        images = graded.transform(x, condition=c)
        for row in range(5):
            assert_close(images[row], graded.map_.at(float(c[row])).forward(x[row : row + 1])[0], atol=1e-5)
        found = graded.inverse_transform(images, condition=c, return_status=True)
        assert found.converged.all()
        assert found.error is None
        assert_close(found.points, x, atol=1e-3)
        few = graded.inverse_transform(images[:70], condition=c[:70], return_error=True)
        assert_at_most(np.linalg.norm(few.points - x[:70], axis=1), few.error + 1e-5, "distance to the preimage")

    def test_numbers_outside_are_taken_as_the_end(self, graded, rng):
        x = rng.normal(size=(5, 2))
        with pytest.warns(DataWarning, match=r"`condition` has numbers outside the range of the fit .*a number from"):
            beyond = graded.transform(x, condition=2.7)
        assert_close(beyond, graded.transform(x, condition=float(graded.map_.conditions.high[0, 0])), atol=1e-5)
        with pytest.warns(DataWarning, match=r"in rows 0, 2 outside"):
            graded.transform(x[:3], condition=[-1.0, 0.5, 9.0])

    def test_a_row_does_not_depend_on_those_beside_it(self, graded, rng):
        x, high = rng.normal(size=(1, 2)), float(graded.map_.conditions.high[0, 0])
        near = high + 0.01 * (high - float(graded.map_.conditions.low[0, 0]))  # close enough to be taken as it is
        alone = graded.transform(x, condition=[near])
        with pytest.warns(DataWarning, match=r"in rows 1 outside"):
            beside = graded.transform(np.vstack([x, x]), condition=[near, high + 5.0])
        assert_close(beside[:1], alone, atol=1e-6)
        assert not np.allclose(beside[1:], alone, atol=1e-6)


def test_gaussian_families_start_at_the_exact_maps(rng):
    """At values of the number that were never seen; the slow tests hold larger samples to a tenth of this."""
    pair = FamilyPair.random(2, 0)
    c, d = rng.uniform(-1, 1, 20000), rng.uniform(-1, 1, 20000)
    ot = BrenierMap(max_steps=128, random_state=0)
    ot.fit(pair.source.sample(c, rng), pair.target.sample(d, rng), x_condition=c, y_condition=d)
    errors = []
    for value in np.linspace(-0.97, 0.97, 9):
        x = pair.source.sample(np.full(500, value), rng)
        exact = pair.transport(value, x)
        found = ot.transform(x, condition=float(value))
        errors.append(unexplained_variance(found, exact, np.trace(pair.target.covariance(value))))
    assert_at_most(np.mean(errors), 0.3, "mean UVP")


def test_labels_and_numbers_together(rng):
    frame = pd.DataFrame({"cell": rng.choice(["a", "b"], 3000), "dose": rng.uniform(0, 1, 3000)})
    other = pd.DataFrame({"cell": rng.choice(["a", "b"], 3000), "dose": rng.uniform(0, 1, 3000)})
    x, z = rng.normal(size=(3000, 2)), rng.normal(size=(3000, 2))
    slope = np.where(other["cell"] == "a", 1.0 + other["dose"], 2.0 - other["dose"])[:, None]
    ot = BrenierMap(max_steps=128, random_state=0)
    ot.fit(x, slope * z, x_condition=frame, y_condition=other)
    test = rng.normal(size=(200, 2))
    for cell, dose, factor in (("a", 0.25, 1.25), ("b", 0.25, 1.75), ("b", 0.8, 1.2)):
        error = unexplained_variance(ot.transform(test, condition={"cell": cell, "dose": dose}), factor * test)
        assert_at_most(error, 1.0, f"UVP at {cell}, {dose}")
        assert_close(
            ot.transform(test, condition=(cell, dose)),
            ot.transform(test, condition={"dose": dose, "cell": cell}),
            atol=1e-12,
        )


class TestSides:
    """What is said, and done, where the two sides do not have the same conditions."""

    def fit(self, x, y, cx, cy, **options):
        return BrenierMap(max_steps=128, random_state=0, **options).fit(x, y, x_condition=cx, y_condition=cy)

    def test_a_class_on_one_side_only_is_left_out(self, rng):
        x, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
        cx, cy = np.repeat(["a", "b", "c"], 100), np.repeat(["a", "b", "d"], 100)
        with pytest.warns(
            DataWarning, match=r"`x_condition` has classes that the other side lacks: 'c'.*'d'.*left out"
        ):
            ot = self.fit(x, y, cx, cy)
        with pytest.raises(InputError, match=r"'c'. It knows 'a', 'b'"):
            ot.transform(x, condition="c")

    def test_a_class_with_too_few_points_is_refused(self, rng):
        x, y = rng.normal(size=(119, 2)), rng.normal(size=(200, 2))
        with pytest.raises(InputError, match=r"fewer than 20 points on a side: 'b' \(19 and 100\)"):
            self.fit(x, y, np.repeat(["a", "b"], [100, 19]), np.repeat(["a", "b"], 100))

    def test_a_class_with_fewer_points_than_dimensions_is_warned_of(self, rng):
        x, y = rng.normal(size=(500, 30)), rng.normal(size=(500, 30))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.fit(x, y, np.repeat(["a", "b"], [475, 25]), np.repeat(["a", "b"], [400, 100]))
        assert any("no more points on a side than the 30 dimensions: 'b' (25)" in str(w.message) for w in caught)

    def test_numbers_that_one_side_lacks_are_left_out(self, rng):
        x, y = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2))
        cx, cy = rng.uniform(0, 2, 1000), rng.uniform(1, 3, 1000)
        with pytest.warns(DataWarning, match=r"% of the rows of `x_condition` lie where the other side has no points"):
            ot = self.fit(x, y, cx, cy)
        assert_close(ot.map_.conditions.low[0, 0], 1.0, atol=0.02)
        assert_close(ot.map_.conditions.high[0, 0], 2.0, atol=0.02)

    def test_numbers_in_other_proportions_are_weighted_and_warned_of(self, rng):
        cx, cy = rng.beta(1.2, 3, 8000), rng.beta(3, 1.2, 8000)
        x, y = rng.normal(size=(8000, 2)) * (1 + cx)[:, None], rng.normal(size=(8000, 2)) * (2 + 2 * cy)[:, None]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ot = self.fit(x, y, cx, cy)
        assert any("distributed so differently that" in str(w.message) for w in caught)
        test = rng.normal(size=(500, 2))
        for c in (0.3, 0.5, 0.7):
            assert_at_most(unexplained_variance(ot.transform(test, condition=c), 2.0 * test), 2.0, f"UVP at {c}")

    def test_one_side_without_conditions(self, rng):
        x = rng.normal(size=(100, 2))
        with pytest.raises(InputError, match=r"`y_condition` is missing"):
            BrenierMap().fit(x, x, x_condition=np.ones(100))

    def test_conditions_for_a_map_without(self, rng):
        x = rng.normal(size=(400, 2))
        ot = BrenierMap(max_steps=128, random_state=0, refit=False).fit(x, 2 * x)
        with pytest.raises(InputError, match=r"`condition` was given, but the fit had none"):
            ot.transform(x, condition="a")

    def test_a_good_fit_is_silent(self, rng):
        x, c = rng.normal(size=(400, 2)), np.arange(400) % 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.fit(x, x[::-1] * 2, c, c, refit=False)


class TestBalancedStream:
    def test_classes_come_in_their_shares_and_rows_in_proportion(self, rng):
        rows = np.column_stack([np.arange(60.0), np.repeat([0.0, 1.0, 2.0], [10, 20, 30])])
        weights = np.repeat([1 / 30, 1 / 60, 1 / 90], [10, 20, 30])
        source = BalancedStream(rows, weights, 1, rng)
        for count in (64, 512):
            drawn = source.draw(count)
            shares = np.bincount(drawn[:, 1].astype(int)) / count
            assert_close(shares, [1 / 3, 1 / 3, 1 / 3], atol=1.0 / count + 1e-12)
            times = np.bincount(drawn[:, 0].astype(int), minlength=60)
            expected = count * weights
            assert (np.abs(times - expected) < 1.0 + 1e-9).all()

    def test_every_part_of_a_draw_has_the_classes_in_their_shares(self, rng):
        """A pool that replaces a quarter of its rows by a new draw would otherwise lose the balance of the sides."""
        rows = np.column_stack([np.arange(60.0), np.repeat([0.0, 1.0, 2.0], [10, 20, 30])])
        drawn = BalancedStream(rows, np.repeat([1 / 20, 1 / 80, 1 / 120], [10, 20, 30]), 1, rng).draw(1024)[:, 1]
        for part in np.split(drawn, 8):
            assert_close(np.bincount(part.astype(int)) / 128, [0.5, 0.25, 0.25], atol=2 / 128)

    def test_all_rows_are_as_likely_as_their_weights(self, rng):
        rows, weights = np.column_stack([np.arange(6.0), np.zeros(6)]), np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
        source = BalancedStream(rows, weights, 1, rng)
        counts = np.bincount(np.concatenate([source.draw(2)[:, 0] for _ in range(3000)]).astype(int), minlength=6)
        # Systematic draws vary less than independent ones, for which this would be the test of fit.
        assert scipy.stats.chisquare(counts, 6000 * weights).pvalue > 1e-4
