"""Data are looked at once: on the way from a method to the first number that is computed from them."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import brenier.data.checks
import brenier.data.conditions
import brenier.data.weights
import brenier.estimators.fitting
import brenier.maps.transport_map
from brenier import BrenierDensity, BrenierMap, InputError, JoinedMap, Training
from brenier.data.checks import as_points
from brenier.data.table import CheckedTable, Table
from brenier.files import open_points, read_points
from made import conditional_map, transport_map


class Reached(Exception):
    """Raised where the training would begin."""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each argument was looked at, entry by entry."""
    seen: Counter[str] = Counter()

    def count(module: Any, function: str, place: int) -> None:
        look = getattr(module, function)

        def counted(*given: Any) -> Any:
            seen[given[place]] += 1
            return look(*given)

        monkeypatch.setattr(module, function, counted)

    count(brenier.data.checks, "check_finite", 1)
    count(brenier.data.weights, "_check_finite", 1)
    count(brenier.data.conditions, "_values", 1)
    return seen


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A fit that ends where the training would begin."""

    def reached(*_: Any) -> None:
        raise Reached

    monkeypatch.setattr(brenier.estimators.fitting, "_train", reached)

    def fit(estimator: Any, *given: Any, **more: Any) -> None:
        with pytest.raises(Reached):
            estimator.fit(*given, **more)

    return fit


def clouds(dim: int = 2) -> dict[str, np.ndarray]:
    x, y = np.random.default_rng(0).normal(size=(2, 400, dim))
    return {"X": x, "Y": 2.0 * y + 1.0}


WEIGHTS = {"x_weight": np.r_[0.0, np.ones(399)], "y_weight": np.linspace(1.0, 2.0, 400)}
CONDITIONS = {"x_condition": np.repeat(["a", "b"], 200), "y_condition": np.repeat(["b", "a"], 200)}


class TestFits:
    @pytest.mark.parametrize("more", [{}, WEIGHTS, CONDITIONS, WEIGHTS | CONDITIONS], ids=["", "w", "c", "wc"])
    @pytest.mark.parametrize("options", [{}, {"dequantize": 0.1, "trim": 0.05}], ids=["plain", "noisy"])
    def test_look_at_every_argument_once(self, more: dict, options: dict, looks: Counter, fit: Callable) -> None:
        fit(BrenierMap(random_state=0, **options), **clouds(), **more)
        assert looks == dict.fromkeys(["X", "Y", *more], 1)

    @pytest.mark.parametrize("kind", [pd.DataFrame, np.ndarray.tolist], ids=["frame", "list"])
    def test_of_other_kinds_too(self, kind: Callable, looks: Counter, fit: Callable) -> None:
        fit(BrenierMap(), *map(kind, clouds().values()))
        assert looks == {"X": 1, "Y": 1}

    def test_against_the_normal_distribution(self, looks: Counter, fit: Callable) -> None:
        fit(BrenierMap(), "normal", clouds()["Y"])
        assert looks.pop("Y") == 1

    def test_to_both_samples_in_one_array(self, looks: Counter, fit: Callable) -> None:
        fit(JoinedMap(), np.vstack(list(clouds().values())), np.repeat([0, 1], 400))
        assert looks == {"X": 1}

    def test_of_densities(self, looks: Counter, fit: Callable) -> None:
        fit(BrenierDensity(dequantize=0.1), clouds()["X"], sample_weight=WEIGHTS["x_weight"])
        assert looks == {"X": 1, "sample_weight": 1}

    def test_of_files_that_were_read(self, tmp_path: Path, looks: Counter, fit: Callable) -> None:
        np.save(tmp_path / "x.npy", clouds()["X"])
        whole = read_points(tmp_path / "x.npy")
        assert sum(looks.values()) == 1
        fit(BrenierMap(), whole, open_points(tmp_path / "x.npy"))
        assert not {"X", "Y"} & set(looks)


class TestFitted:
    @pytest.fixture
    def ot(self) -> BrenierMap:
        ot = BrenierMap()
        ot.map_ = transport_map("icnn-ramp")
        return ot

    @pytest.fixture
    def by_condition(self) -> BrenierMap:
        ot = BrenierMap()
        ot.map_ = conditional_map(2, 0)
        return ot

    def test_transforms(self, ot: BrenierMap, looks: Counter) -> None:
        points = clouds(3)["X"]
        ot.transform(points)
        assert looks == {"X": 1}
        ot.set_output(transform="pandas").transform(points)
        assert looks == {"X": 2}
        ot.inverse_transform(points)
        assert looks == {"X": 2, "Y": 1}

    def test_scores(self, ot: BrenierMap, looks: Counter) -> None:
        ot.score(**clouds(3), **WEIGHTS)
        assert looks == {"X": 1, "Y": 1, "x_weight": 1, "y_weight": 1}

    def test_distances(self, ot: BrenierMap, looks: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
        def reached(*_: Any, **__: Any) -> None:
            raise Reached

        monkeypatch.setattr(brenier.maps.transport_map, "measure", reached)
        with pytest.raises(Reached):
            ot.distance(**clouds(3), **WEIGHTS)
        assert looks == {"X": 1, "Y": 1, "x_weight": 1, "y_weight": 1}

    @pytest.mark.parametrize("method", ["distance", "score"])
    def test_comparisons_under_conditions(self, by_condition: BrenierMap, looks: Counter, method: str) -> None:
        given = {name: np.where(own == "a", "k0", "k1") for name, own in CONDITIONS.items()}
        getattr(by_condition, method)(**clouds(3), **given)
        assert looks == {"X": 1, "Y": 1, "x_condition": 1, "y_condition": 1}

    def test_densities(self, looks: Counter) -> None:
        density = BrenierDensity()
        density.map_ = transport_map("icnn-softplus")
        density.map_ = type(density.map_)(
            density.map_.geometry, density.map_.potential, None, None, {"base": BASE | {"side": "target"}}
        )
        density.score(clouds(3)["X"], sample_weight=WEIGHTS["y_weight"])
        assert looks == {"X": 1, "sample_weight": 1}


BASE = {"mean": [0.0] * 3, "deviation": [1.0] * 3}


class TestTables:
    def test_that_nobody_has_looked_at_are_looked_at(self) -> None:
        with pytest.raises(InputError, match="`X` contains NaN"):
            as_points(Table(np.array([[np.nan]])), "X")

    def test_that_somebody_has_looked_at_still_need_the_columns_of_the_fit(self) -> None:
        table = as_points(pd.DataFrame({"a": [1.0], "b": [2.0]}), "X")
        assert isinstance(table, CheckedTable)
        assert as_points(table, "Y") is table
        with pytest.raises(InputError, match="`X` must have 3 columns"):
            as_points(table, "X", columns=3)
        with pytest.raises(InputError, match=r"columns of the fit, \['b', 'a'\]"):
            as_points(table, "X", names=["b", "a"])


class TestTraining:
    def test_reaches_the_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = []

        def reached(task: Any, request: Any) -> None:
            told.append(task.config)
            raise Reached

        monkeypatch.setattr(brenier.estimators.fitting, "_train", reached)
        training = Training(hidden=[8, 4], batch_size=32, pool_size=256, learning_rate=0.5, activation="celu")
        for estimator in (BrenierMap(training=training), BrenierMap().set_params(**flat(training))):
            with pytest.raises(Reached):
                estimator.fit(**clouds())
        assert told[0] == told[1]
        assert (told[0].widths, told[0].batch, told[0].pool) == ((8, 4), 32, 256)
        assert (told[0].learning_rate, told[0].activation) == (0.5, "celu")

    def test_what_it_is_not(self) -> None:
        with pytest.raises(InputError, match=r"`training` must be a `brenier.Training` or None; got \{'hidden'"):
            BrenierMap(training={"hidden": [8]}).fit(**clouds())  # pyright: ignore

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: BrenierMap(max_step=3), "`BrenierMap` has no parameter `max_step`. Did you mean `max_steps`?"),
            (lambda: BrenierMap(hidden=[8]), r"no parameter `hidden`. Did you mean `training=Training\(hidden=...\)`"),
            (
                lambda: BrenierMap(checkpoints="a"),
                r"no parameter `checkpoints`. Did you mean `fit\(..., checkpoint=...\)`",
            ),
            (lambda: BrenierMap(zz=1), "no parameter `zz`. It has `cost`, `scale`, "),
            (lambda: BrenierDensity(obs="X"), "`BrenierDensity` has no parameter `obs`. Did you mean `obsm`?"),
            (lambda: Training(hiddn=[8]), "`Training` has no parameter `hiddn`. Did you mean `hidden`?"),
            (lambda: BrenierMap().set_params(hiddn=[8]), "Did you mean `training__hidden`?"),
            (lambda: BrenierMap().set_params(training__hiddn=[8]), "Did you mean `training__hidden`?"),
            (lambda: BrenierMap().set_params(shards=2), r"Did you mean `fit\(..., shards=...\)`?"),
        ],
    )
    def test_misspelt_names_say_what_was_meant(self, make: Callable, words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            make()
        assert isinstance(caught.value, TypeError)

    def test_it_shows_what_is_set(self) -> None:
        assert str(Training()) == "Training()"
        assert repr(BrenierMap(training=Training(hidden=[8]))) == "BrenierMap(training=Training(hidden=[8]))"


def flat(training: Training) -> dict[str, Any]:
    return {f"training__{name}": value for name, value in vars(training).items()}


class TestVerbose:
    def test_shows_what_the_command_line_shows(self, capfd: pytest.CaptureFixture[str]) -> None:
        options = {"max_steps": 8, "training": Training(hidden=[4], batch_size=16), "refit": False, "random_state": 0}
        BrenierMap(**options).fit(**clouds())
        assert capfd.readouterr().err == ""
        BrenierMap(**options, verbose=1).fit(**clouds())
        assert "100 %  dual " in capfd.readouterr().err

    @pytest.mark.parametrize("verbose", [-1, "yes", None])
    def test_is_a_number(self, verbose: Any) -> None:
        with pytest.raises(InputError, match="`verbose` must be 0, or 1 to show the fit as it runs"):
            BrenierMap(verbose=verbose).fit(**clouds())
