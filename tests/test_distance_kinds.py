"""One answer for every cost and under conditions: what it has, in which units, how it reads; weights count in it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from asserts import assert_at_most, assert_close, assert_same
from brenier import Distance, InputError, TransportMap
from brenier.certificates import average, dual_terms
from brenier.costs import AbstractDisplacementCost, ElasticNet, PNorm
from brenier.geometry import DisplacementGeometry, Pairs, moments
from made import conditional_map, conditions, cost_map, mahalanobis_map, points, sphere_map, transport_map

pytestmark = pytest.mark.filterwarnings("ignore::brenier.DataWarning")


def certified_map(cost: AbstractDisplacementCost) -> TransportMap:
    """A map for a strongly convex cost in the coordinates that make its inner problems concave."""
    plain, rng = transport_map("icnn-ramp"), np.random.default_rng(4)
    x, y = points(plain, 200, rng), points(plain, 200, rng) + 1.0
    scale = np.linspace(0.5, 2.0, 3)
    geometry = DisplacementGeometry.between(moments(x), moments(y), cost, scale, Pairs.match(x, y, rng), certify=True)
    return TransportMap(geometry, plain.potential)


MAPS = {
    "quadratic": lambda: transport_map("icnn-ramp"),
    "not-convex": lambda: transport_map("mlp-ramp"),
    "mahalanobis": mahalanobis_map,
    "pnorm": lambda: cost_map(PNorm(1.5)),
    "elastic-net": lambda: certified_map(ElasticNet(0.1)),
    "sphere": sphere_map,
    "labels": lambda: conditional_map(2, 0),
    "numbers": lambda: conditional_map(1, 1),
    "both": lambda: conditional_map(2, 1),
}
QUADRATIC = {"quadratic", "not-convex", "mahalanobis", "labels", "numbers", "both"}
CERTIFIED = QUADRATIC - {"not-convex"}


def sides(map_: TransportMap, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Source points, images of others, and their conditions."""
    clouds, given = [], {}
    for side, count in (("x", 60), ("y", 50)):
        cloud, own = points(map_, count, rng), None
        if map_.conditions is not None:
            _, columns = conditions(map_, count, rng)
            own = given[f"{side}_condition"] = pd.DataFrame(columns)
        if map_.cost == sphere_map().cost:
            cloud = 2.0 * cloud / np.linalg.norm(cloud, axis=1, keepdims=True)
        clouds.append(cloud if side == "x" else map_.forward(cloud, condition=own))
    return *clouds, given


@pytest.fixture(scope="module")
def answers() -> dict[str, Distance]:
    found = {}
    for name, make in MAPS.items():
        map_ = make()
        x, y, given = sides(map_, np.random.default_rng(7))
        found[name] = map_.distance(x, y, **given)
    return found


@pytest.mark.parametrize("name", MAPS)
class TestEveryKind:
    def test_numbers_are_in_one_unit(self, name: str, answers: dict[str, Distance]):
        found = answers[name]
        assert isinstance(found, Distance)
        assert found.quadratic == (name in QUADRATIC)
        root = (lambda value: np.sqrt(max(2.0 * value, 0.0))) if found.quadratic else (lambda value: value)
        assert found.estimate == root(found.value)
        assert found.cost == root(found.moved)
        if found.empirical is not None:
            assert (found.lower, found.upper) == (root(found.empirical.lower), root(found.empirical.upper))
            assert_at_most(found.lower, found.upper * (1 + 1e-12), "interval")
        if found.population is not None:
            assert found.population_lower == root(found.population.value)

    def test_w2_is_for_squared_distances(self, name: str, answers: dict[str, Distance]):
        found = answers[name]
        if name in QUADRATIC:
            assert found.w2 == found.estimate
        else:
            with pytest.raises(InputError, match=r"`w2` is known for squared distances only; this map has `cost`="):
                _ = found.w2
            assert found.record()["w2"] is None

    def test_it_says_what_is_certified_and_how(self, name: str, answers: dict[str, Distance]):
        found = answers[name]
        assert found.rigorous == (name in CERTIFIED)
        assert (found.population is not None) == (name in CERTIFIED | {"elastic-net"})
        assert ("up to rounding" in str(found)) == (name == "elastic-net")

    def test_the_record_has_one_form(self, name: str, answers: dict[str, Distance]):
        record = json.loads(json.dumps(answers[name].record(), allow_nan=False))
        plain = answers["quadratic"].record()
        assert list(record) == [*plain, *(["parts"] if answers[name].parts else [])]
        for part in record.get("parts", {}).values():
            assert list(part) == ["share", *plain]

    def test_a_summary_is_short(self, name: str, answers: dict[str, Distance]):
        found = answers[name]
        assert 5 <= len(str(found).splitlines()) <= 12
        assert repr(found) == str(found)

    def test_the_mean_is_over_the_parts(self, name: str, answers: dict[str, Distance]):
        found = answers[name]
        names = {"labels": ["k0", "k1"], "both": ["k0", "k1"], "numbers": ["all"]}
        assert list(found.parts) == names.get(name, [])
        if found.parts:
            shares = np.array(list(found.shares.values()))
            assert_close(shares.sum(), 1.0, rtol=1e-12)
            for field in ("value", "moved", "unconverged"):
                mean = shares @ [getattr(part, field) for part in found.parts.values()]
                assert_close(getattr(found, field), mean, rtol=1e-12, atol=1e-12)


def test_many_classes_are_summed_up(answers: dict[str, Distance]):
    part = replace(answers["quadratic"], value=-1.0)
    found = average({f"class {number}": part for number in range(40)}, np.full(40, 1 / 40))
    lines = str(found).splitlines()
    assert len(lines) <= 12
    assert any("37 more classes" in line for line in lines)
    assert lines[-1].startswith("Note")
    assert len(found.notes()) == 40 * len(part.notes())


def test_one_class_is_its_own_mean(answers: dict[str, Distance]):
    part = answers["quadratic"]
    found = average({"all": part}, np.ones(1))
    assert (found.value, found.population, found.mismatch) == (part.value, part.population, part.mismatch)
    assert found.parts == {"all": part}


class TestWeights:
    """Everything that is a share or a mean is one of weights, also where every point has its own condition."""

    @pytest.fixture
    def case(self, rng):
        map_ = conditional_map(1, 1)
        x, z = points(map_, 200, rng), points(map_, 200, rng)
        return map_, x, map_.forward(z, condition=np.full(200, 1.0))

    def test_unconverged(self, case):
        map_, x, y = case
        y[::2] = 1e20  # no solver gets there in single precision
        weight = np.where(np.arange(200) % 2, 1.0, 1e-6)
        found = map_.distance(x, y, x_condition=np.full(200, 1.0), y_condition=np.full(200, 1.0), y_weight=weight)
        assert_close(found.unconverged, 1e-6, rtol=1e-3)

    def test_inexactness(self, case):
        map_, x, y = case
        y[::2] *= 1e4  # far outside conjugates are less exact
        one = np.full(200, 1.0)
        light, heavy = (
            map_.distance(
                x, y, x_condition=one, y_condition=one, y_weight=np.where(np.arange(200) % 2, 1.0, own), empirical=False
            )
            for own in (1e-6, 1e-3)
        )
        assert_close(heavy.inexact / light.inexact, 1e3, rtol=0.02)

    def test_equal_weights_are_none(self, rng):
        map_ = transport_map("icnn-ramp")
        x, y, _ = sides(map_, rng)
        found = map_.distance(x, y, x_weight=np.full(60, 3.0), y_weight=np.full(50, 0.1))
        assert found == map_.distance(x, y)


def test_terms_are_feasible_for_every_kind(rng):
    """Whatever points stand for the conjugates, the dual value of a pair is at most its cost."""
    for name in CERTIFIED | {"elastic-net"}:
        map_ = MAPS[name]()
        x, y, given = sides(map_, rng)
        x = x[:50]
        if given:
            given["x_condition"] = given["y_condition"]
        rows_x, rows_y = (map_.rows(cloud, "X", given.get("x_condition")) for cloud in (x, y))
        terms = dual_terms(map_.geometry, map_.potential, rows_x, rows_y, rng.normal(size=y.shape))
        assert terms.certified
        assert terms.rigorous == (name in CERTIFIED)
        costs = map_.geometry.costs(x, y)
        assert_at_most(terms.source + terms.target - terms.slack, costs * (1 + 1e-9), "dual value of a pair")
        assert_same(terms.slack > 0, np.ones(len(y), bool))
