"""Distances under a condition: closed forms, bounds that hold, messages."""

import json
import warnings
from dataclasses import replace

import numpy as np
import ot as pot
import pytest

from asserts import assert_at_most, assert_close
from brenier import BrenierMap, DataWarning, InputError, TransportMap
from brenier.certificates import dual_terms
from brenier.conditions.space import ConditionSpace, Variable
from brenier.datasets import FamilyPair, GaussianFamily
from brenier.geometry.between import conditional_between
from brenier.potentials import ModulatedICNN
from networks import perturb

pytestmark = pytest.mark.filterwarnings("ignore:.*outside the range of the fit:brenier.DataWarning")


@pytest.fixture(scope="module")
def by_class():
    rng = np.random.default_rng(0)
    kind_x, kind_y = rng.choice(["a", "b"], 1200, p=[0.75, 0.25]), rng.choice(["a", "b"], 1000)
    x = rng.normal(size=(1200, 2))
    y = (
        rng.normal(size=(1000, 2)) * np.where(kind_y == "a", 2.0, 1.0)[:, None]
        + np.where(kind_y == "a", 1.0, 3.0)[:, None]
    )
    fit = BrenierMap(max_steps=128, random_state=0, refit=False)
    fit.fit(x[600:], y[500:], x_condition=kind_x[600:], y_condition=kind_y[500:])
    return fit, (x[:600], y[:500], kind_x[:600], kind_y[:500])


class TestClasses:
    def test_the_mean_is_over_the_shares_of_the_source(self, by_class):
        fit, (x, y, cx, cy) = by_class
        found = fit.distance(x, y, x_condition=cx, y_condition=cy)
        assert list(found.parts) == ["a", "b"]
        shares = np.array([np.mean(cx == "a"), np.mean(cx == "b")])
        assert_close(list(found.shares.values()), shares, rtol=1e-12)
        squares = np.array([part.w2**2 for part in found.parts.values()])
        assert_close(found.w2, np.sqrt(shares @ squares), rtol=1e-9)
        # Closed form: |shift|^2 + tr (sigma - 1)^2, 2 + 2 and 18.
        assert_close(found.w2, np.sqrt(shares @ [4.0, 18.0]), rtol=0.06)
        assert_close(fit.score(x, y, x_condition=cx, y_condition=cy), found.value, rtol=1e-4)

    def test_samples_are_enclosed(self, by_class):
        fit, (x, y, cx, cy) = by_class
        found = fit.distance(x, y, x_condition=cx, y_condition=cy)
        exact = 0.0
        for own in ("a", "b"):
            a, b = x[cx == own], y[cy == own]
            exact += np.mean(cx == own) * pot.emd2(pot.unif(len(a)), pot.unif(len(b)), pot.dist(a, b))
        assert found.lower - 1e-6 <= np.sqrt(exact) <= found.upper + 1e-6
        assert_close(found.upper, np.sqrt(exact), rtol=1e-6)

    def test_the_populations_are_bounded(self, by_class):
        fit, (x, y, cx, cy) = by_class
        found = fit.distance(x, y, x_condition=cx, y_condition=cy, confidence=0.9, empirical=False)
        exact = np.sqrt(np.mean(cx == "a") * 4.0 + np.mean(cx == "b") * 18.0)
        assert found.population_lower < exact
        assert found.population_lower > 0.9 * exact
        assert found.lower is None
        wider = fit.distance(x, y, x_condition=cx, y_condition=cy, confidence=0.99, empirical=False)
        assert wider.population_lower < found.population_lower

    def test_it_prints_and_is_json(self, by_class):
        fit, (x, y, cx, cy) = by_class
        found = fit.distance(x, y, x_condition=cx, y_condition=cy)
        text = repr(found)
        for words in ("mean over conditions; neither squared nor halved", "Populations", "\na  ", "\nb  "):
            assert words in text
        record = json.loads(json.dumps(found.record()))
        assert record["parts"]["a"]["share"] == pytest.approx(np.mean(cx == "a"))
        assert record["w2"] == found.w2

    def test_one_condition_for_all(self, by_class):
        fit, (x, y, cx, cy) = by_class
        found = fit.distance(x[cx == "b"], y[cy == "b"], x_condition="b", y_condition="b")
        alone = fit.map_.at("b").distance(x[cx == "b"], y[cy == "b"])
        assert found.w2 == alone.w2
        assert found.parts["b"].population_lower == alone.population_lower

    def test_what_cannot_be_measured(self, by_class):
        fit, (x, y, cx, cy) = by_class
        with pytest.raises(InputError, match=r"`y_condition` lacks classes of `x_condition`: 'b'"):
            fit.distance(x, y[cy == "a"], x_condition=cx, y_condition="a")
        with pytest.raises(InputError, match=r"at least 2 points of class 'a' for a distance; got 1"):
            fit.distance(x[cx == "a"][:1], y[cy == "a"], x_condition="a", y_condition="a")
        with pytest.raises(InputError, match=r"`confidence` must lie strictly between 0 and 1; got 1.5"):
            fit.distance(x, y, x_condition=cx, y_condition=cy, confidence=1.5)
        with pytest.raises(InputError, match=r"`x_condition` is missing"):
            fit.distance(x, y, y_condition=cy)


def test_a_family_of_gaussians_has_its_mean_distance(rng):
    source, target = GaussianFamily.random(2, 1), GaussianFamily.random(2, 2)
    target = replace(target, drift=target.drift + np.array([3.0, 1.0]))  # a distance well above the sampling error
    c, d = rng.uniform(-1, 1, 12000), rng.uniform(-1, 1, 12000)
    fit = BrenierMap(max_steps=128, random_state=0, refit=False)
    fit.fit(source.sample(c, rng), target.sample(d, rng), x_condition=c, y_condition=d)
    a, b = rng.uniform(-0.95, 0.95, 4000), rng.beta(2, 1, 4000) * 1.9 - 0.95
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        found = fit.distance(source.sample(a, rng), target.sample(b, rng), x_condition=a, y_condition=b)
    places, weights = np.polynomial.legendre.leggauss(12)
    exact = np.sqrt(weights / 2 @ [FamilyPair(source, target).squared_w2(0.95 * value) for value in places])
    # The target's numbers are distributed otherwise than the source's: weighted, they say the same.
    assert_close(found.value, exact**2 / 2, atol=4.0 * found.population.variance**0.5)
    assert_close(found.w2, exact, rtol=0.05)
    assert found.population_lower < exact
    assert found.population_lower > 0.8 * exact
    assert found.lower is None
    assert list(found.parts) == ["all"]
    assert found.parts["all"].mismatch is not None
    assert found.parts["all"].mismatch.p_value > 1e-3


class TestTerms:
    """Point by point in one call, against the certificate of each condition's own map."""

    @pytest.fixture
    def case(self, rng):
        c = rng.uniform(-1, 1, 800)
        rows = [
            np.column_stack([np.exp(0.3 * rng.normal(size=(400, 2))) * (2 + part[:, None]), np.zeros(400), part])
            for part in (c[:400], c[400:])
        ]
        low, high = np.array([[-1.0]]), np.array([[1.0]])
        coordinates = conditional_between(*rows, low, high, np.array([1.0, 2.0]), 0)
        family = perturb(ModulatedICNN(2, 1, 1, (6, 5, 4), rng=np.random.default_rng(0)), 1, 0.2)
        return coordinates, family, *rows

    def test_values_and_slacks(self, case, rng):
        coordinates, family, x, y = case
        found = rng.normal(size=(400, 2))
        together = dual_terms(coordinates, family, x, y, found)
        assert together.certified
        space = ConditionSpace((Variable(None, "number"),), ((),), np.array([[-1.0]]), np.array([[1.0]]))
        map_ = TransportMap(coordinates, family, space)
        for row in range(6):
            own = map_.at_code(y[row, 2:])
            terms = dual_terms(own.geometry, own.potential, x[row : row + 1, :2], y[row : row + 1, :2], found[[row]])
            own_x = map_.at_code(x[row, 2:])
            source = dual_terms(own_x.geometry, own_x.potential, x[[row], :2], y[[row], :2], found[[row]]).source
            # They differ by the value at the origin, which belongs to the condition.
            unit = coordinates.unit**2
            origin = [unit * float(part.potential(np.zeros((1, 2), np.float32))[0]) for part in (own, own_x)]
            assert_close(together.target[row], terms.target[0] - origin[0], rtol=1e-5, atol=1e-4)
            assert_close(together.source[row], source[0] + origin[1], rtol=1e-5, atol=1e-4)
            assert_close(together.slack[row], terms.slack[0], rtol=1e-3)

    def test_feasible_for_all_pairs_of_one_condition(self, case, rng):
        """The sum is at most the cost, for wild networks and points that solve nothing."""
        coordinates, family, x, y = case
        y = np.column_stack([y[:, :2], x[:, 2:]])
        terms = dual_terms(coordinates, family, x, y, 3.0 * rng.normal(size=(400, 2)))
        costs = 0.5 * np.sum(np.square((x[:, :2] - y[:, :2]) / coordinates.scale), axis=1)
        assert_at_most(terms.source + terms.target - terms.slack, costs, "dual value of a pair")
