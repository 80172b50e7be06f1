"""Potentials, solvers, costs, objectives and formats of the user's own: they are what is used, or are refused."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import BrenierMap, InputError, Training, files
from brenier._states import pack, unpack
from brenier.cli.cost_names import parse_cost
from brenier.conjugates import conjugate_points
from brenier.costs import COSTS, AbstractDisplacementCost
from brenier.data.streams import ArrayStream
from brenier.files import registry
from brenier.geometry import QuadraticGeometry, moments
from brenier.potentials import POTENTIALS, AbstractPotential, Quadratic
from brenier.solvers import Picard
from brenier.training import AbstractObjective, Losses, LossObjective, Stop, choose_config, train, train_twice
from commands import as_json
from made import transport_map


class Scaled(AbstractPotential):
    """Half the squared norm times one number, which training moves from one to the truth."""

    factor: jnp.ndarray
    dim: int = eqx.field(static=True)

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        self.dim, self.factor = dim, jnp.asarray(1.0)

    def __call__(self, x):
        return 0.5 * self.factor * jnp.sum(jnp.square(x), axis=1) + 0.1 * jnp.sum(jnp.sqrt(1.0 + x**2), axis=1)

    def convexity_floor(self):
        return None

    def hyperparameters(self):
        return {"dim": self.dim}

    @classmethod
    def skeleton(cls, dim: int):
        return cls(dim, np.random.default_rng(0))


def clouds(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(1000, 2)), rng.gamma(2.0, size=(1000, 2))


@pytest.fixture
def fitted(rng: np.random.Generator) -> BrenierMap:
    return BrenierMap(training=Training(potential=Scaled), max_steps=128, refit=False, random_state=0).fit(*clouds(rng))


def test_the_own_potential_is_what_was_trained(fitted: BrenierMap) -> None:
    # Where nothing beat the Gaussian map, the map is that; its settings say what was trained in either case.
    assert isinstance(fitted.map_.potential, Quadratic if fitted.baseline_ else Scaled)
    assert fitted.map_.info["settings"]["potential"] == "Scaled"


def test_the_factory_gets_columns_and_randomness(rng: np.random.Generator) -> None:
    seen = []

    def make(dim: int, generator: np.random.Generator) -> Scaled:
        seen.append((dim, generator.integers(1 << 30)))
        return Scaled(dim, generator)

    for seed in (0, 0, 1):
        BrenierMap(training=Training(potential=make), max_steps=128, refit=False, random_state=seed).fit(*clouds(rng))
    assert {dim for dim, _ in seen} == {2}
    assert seen[0] == seen[1] != seen[2]


def test_settings_without_a_potential_are_what_they_were() -> None:
    assert "potential" not in choose_config(2, 100).summary()


@pytest.mark.parametrize("wrong", [lambda dim, rng: Quadratic.identity(dim + 1), lambda dim, rng: lambda x: x])
def test_what_is_no_potential_is_refused(wrong, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="`potential` must return an `AbstractPotential` whose `dim` is 2"):
        BrenierMap(training=Training(potential=wrong), max_steps=128).fit(*clouds(rng))


def test_conditions_are_refused(rng: np.random.Generator) -> None:
    X, Y = clouds(rng)
    kind = np.arange(1000) % 2
    with pytest.raises(InputError, match="without conditions only"):
        BrenierMap(training=Training(potential=Scaled), max_steps=128).fit(X, Y, x_condition=kind, y_condition=kind)


@pytest.mark.parametrize(("name", "value"), [("potential", "icnn"), ("solver", "newton"), ("solver", Picard)])
def test_other_arguments_are_refused(name: str, value: object, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=f"`{name}` must be a"):
        BrenierMap(training=Training(**{name: value})).fit(*clouds(rng))


def test_kinds_that_no_file_could_name_are_refused(fitted: BrenierMap, tmp_path, monkeypatch) -> None:
    own = eqx.tree_at(lambda m: m.potential, fitted.map_, Scaled(2, np.random.default_rng(0)))
    with pytest.raises(InputError, match="does not have `Scaled`"):
        own.save(tmp_path / "own.brenier")
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(POTENTIALS, "scaled", Scaled)
    own.save(tmp_path / "own.brenier")
    again = type(own).load(tmp_path / "own.brenier")
    assert np.array_equal(again.forward(np.eye(2)), own.forward(np.eye(2)))


class Counting(Picard):
    """Picard steps that are counted where they are traced."""

    def direction(self, fn, x, residual, state):
        CALLS.append(x.shape)
        return super().direction(fn, x, residual, state)


CALLS: list[tuple[int, ...]] = []


def test_the_own_solver_takes_the_steps_of_training(rng: np.random.Generator) -> None:
    CALLS.clear()
    ot = BrenierMap(
        training=Training(solver=Counting(), batch_size=256), max_steps=128, refit=False, random_state=0
    ).fit(*clouds(rng))
    assert (256, 2) in CALLS
    assert ot.map_.info["settings"]["solver"] == "Counting"


def test_the_own_solver_solves_conjugates(rng: np.random.Generator) -> None:
    CALLS.clear()
    y = np.float32(rng.normal(size=(100, 2)))
    found = conjugate_points(Quadratic(jnp.diag(jnp.array([0.5, 1.5]))), y, solver=Counting())
    assert CALLS
    assert np.abs(found.points - y / np.array([0.5, 1.5])).max() < 1e-4


class KnownPairs(LossObjective):
    """Rows of a point and its image."""

    def __init__(self, rows: np.ndarray, held_out: np.ndarray, coordinates, config) -> None:
        super().__init__(ArrayStream(rows, np.random.default_rng(0)), coordinates, config, seed=0)
        self.held_out = self.inside(held_out)

    def inside(self, rows):
        return self.coordinates.enter_x(rows[:, :2]), self.coordinates.enter_y(rows[:, 2:])

    @staticmethod
    def loss(u, constants, batch):
        x, y = batch
        return jnp.mean(jnp.sum(jnp.square(u.gradient(x) - y), axis=1))

    def batches(self, steps):
        sides = self.inside(self.source.draw(steps * self.config.batch))
        return tuple(jnp.asarray(side.reshape(steps, -1, side.shape[1])) for side in sides)

    def evaluate(self, potential):
        x, y = self.held_out
        return Losses(np.sum(np.square(np.float64(potential.gradient(x)) - y), axis=1))


class Nearer(NamedTuple):
    """The state of `Nearing`: no optimizer, and no network that the library knows."""

    average: Scaled


class Nearing(AbstractObjective):
    """Every step takes one number nearer to that of the known pairs; nothing of it is compiled."""

    def __init__(self, rows: np.ndarray, held_out: np.ndarray, coordinates, config) -> None:
        self.coordinates, self.held_out = coordinates, held_out

    def make_potential(self):
        return Scaled(2, np.random.default_rng(0))

    def start(self, potential):
        return Nearer(eqx.filter(potential, eqx.is_inexact_array))

    def advance(self, state, chunk):
        distance = 2.0 - state.average.factor
        new = eqx.tree_at(lambda u: u.factor, state.average, 2.0 - distance * 0.99 ** len(chunk.rates))
        return Nearer(new), {"distance": np.full(len(chunk.rates), distance)}

    def baseline(self):
        return self.evaluate(Quadratic.identity(2))

    def evaluate(self, potential):
        return Losses(np.sum(np.square(self.held_out[:, 2:] - potential.gradient(self.held_out[:, :2])), axis=1))


class Memory:
    """A keeper that cuts a fit off after its first state, and gives that state to the next one."""

    def __init__(self) -> None:
        self.content = b""

    def load(self):
        return unpack(self.content) if self.content else None

    def due(self, steps: int) -> bool:
        return not self.content

    def save(self, state) -> None:
        began = not self.content
        self.content = pack(state)
        if began:
            raise ZeroDivisionError("cut off")


OBJECTIVES = [KnownPairs, Nearing]


def bent(x: np.ndarray) -> np.ndarray:
    return 2.0 * x + 0.1 * x / np.sqrt(1.0 + x**2)


def objective(kind, count: int = 1000, **changes):
    """An objective with its settings, whose coordinates leave the points as they are."""
    x = np.random.default_rng(1).normal(size=(count + 200, 2))
    rows = np.hstack([x, bent(x)])
    config = choose_config(
        2, count, **{"max_steps": 256, "validation": 128, "widths": (16, 16), "patience": None} | changes
    )
    coordinates = QuadraticGeometry.between(moments(x), moments(x)) if kind is Nearing else None
    coordinates = coordinates or QuadraticGeometry.between(moments(x), moments(rows[:, 2:]))
    return kind(rows[200:], rows[:200], coordinates, config), config


@pytest.mark.parametrize("kind", OBJECTIVES)
class TestObjectives:
    def test_it_is_what_is_made_small(self, kind) -> None:
        fitted, config = objective(kind)
        outcome = train(fitted, config)
        assert outcome.stop is Stop.budget
        assert not outcome.baseline
        last = outcome.history[-1]
        assert last.loss == pytest.approx(fitted.evaluate(outcome.potential).losses.mean())
        assert last.gain == pytest.approx(fitted.baseline().losses.mean() - last.loss)
        assert last.loss < 0.2 * fitted.baseline().losses.mean()
        assert last.describe().startswith("loss ")

    def test_it_goes_on_where_it_was_cut_off(self, kind) -> None:
        whole = train(*objective(kind))
        memory = Memory()
        with pytest.raises(ZeroDivisionError):
            train(*objective(kind), keeper=memory)
        steps = []
        resumed = train(*objective(kind), keeper=memory, on_row=lambda row: steps.append(row.step))
        assert steps == [256]
        assert [row._replace(seconds=0.0) for row in resumed.history] == [
            row._replace(seconds=0.0) for row in whole.history
        ]
        first, second = (jax.tree.leaves(eqx.filter(own.potential, eqx.is_array)) for own in (whole, resumed))
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))

    def test_it_is_fitted_again_to_all_samples(self, kind) -> None:
        (part, config), (whole, _) = objective(kind), objective(kind, 1200)
        rows = []
        outcome, coordinates = train_twice(part, whole, config, on_row=rows.append)
        assert coordinates is whole.coordinates
        assert outcome.stop is Stop.budget
        assert [row.step for row in outcome.history] == [row.step for row in rows if not row.refit] == [128, 256]


def test_a_loss_that_diverges_starts_again() -> None:
    outcome = train(*objective(KnownPairs, learning_rate=1e30, max_steps=384))
    assert outcome.restarts > 0
    assert outcome.baseline


def test_a_loss_is_not_divided() -> None:
    with pytest.raises(InputError, match="`shards` must be 1 for KnownPairs, in one part; got 2"):
        train(*objective(KnownPairs, shards=2))


PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
PROGRAMS = dict(re.findall(r"## An? (\w[\w ]*) of your own\n(?:(?!## ).)*?```python\n(.*?)```", PAGE, flags=re.DOTALL))


@pytest.mark.parametrize("what", ["potential", "solver", "objective", "cost", "file format"])
def test_the_page_shows_each_extension_in_under_thirty_lines(what: str) -> None:
    assert len([line for line in PROGRAMS[what].splitlines() if line.strip()]) < 30


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The format of the page, registered as it says."""
    monkeypatch.setattr(registry, "FORMATS", registry.FORMATS.copy())
    names: dict[str, Any] = {}
    exec(PROGRAMS["file format"], names)
    return names


class Cosh(AbstractDisplacementCost):
    """Half the squared distance for short moves; the cost of long ones grows exponentially."""

    name = "cosh"
    smooth = True

    def value(self, z):
        return jnp.sum(2.0 * jnp.sinh(z / 2.0) ** 2, axis=1)

    def gradient(self, z):
        return jnp.sinh(z)

    def conjugate_gradient(self, p):
        return jnp.arcsinh(p)

    def strong_convexity(self):
        return 1.0

    def arguments(self):
        return {}


def test_a_cost_of_the_users_own_is_what_is_fitted_measured_saved_and_named(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.normal(size=(500, 2))
    Y = X + np.array([1.0, 2.0])
    ot = BrenierMap(cost=Cosh(), max_steps=64, refit=False, random_state=0).fit(X, Y)
    assert np.abs(ot.transform(X) - Y).max() < 0.1
    assert ot.distance(X, Y).value == pytest.approx(np.sum(np.cosh([1.0, 2.0]) - 1.0), rel=0.02)
    with pytest.raises(InputError, match="does not have `Cosh` as 'cosh'"):
        ot.map_.save(tmp_path / "m.brenier")
    monkeypatch.setitem(COSTS, "cosh", Cosh)
    ot.map_.save(tmp_path / "m.brenier")
    assert np.array_equal(type(ot.map_).load(tmp_path / "m.brenier").forward(X), ot.transform(X))
    assert isinstance(parse_cost("cosh"), Cosh)


def test_a_format_of_the_users_own_is_read_and_written_whole_and_in_parts(raw: dict, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(20_000, 2)).astype(np.float32)
    files.write_points(tmp_path / "a.raw", values)
    np.testing.assert_array_equal(files.read_points(tmp_path / "a.raw").values, values)
    stored = files.open_points(tmp_path / "a.raw", memory=1_000_000)
    np.testing.assert_array_equal(stored.read(7, 9), values[7:9])
    ot = BrenierMap(max_steps=2, refit=False, random_state=0).fit(stored, stored)
    assert ot.n_features_in_ == 2
    (tmp_path / "a.raw").write_bytes((tmp_path / "a.raw").read_bytes() + b"\0\0\xc0\x7f" * 2)
    with pytest.raises(InputError, match=r"contains NaN .*, in rows 20000"):
        files.read_points(tmp_path / "a.raw")


def test_commands_take_it(raw: dict, tmp_path: Path) -> None:
    transport_map("icnn-ramp", 2).save(tmp_path / "m.brenier")
    values = np.random.default_rng(0).normal(size=(30, 2))
    for name in ("x.raw", "x.npy"):
        files.write_points(tmp_path / name, values.astype(np.float32))
    for name in ("x.raw", "x.npy"):
        as_json("transform", tmp_path / "m.brenier", tmp_path / name, "-o", tmp_path / f"{name}.raw")
    assert (tmp_path / "x.raw.raw").read_bytes() == (tmp_path / "x.npy.raw").read_bytes()


def test_suffixes_are_taken_once(raw: dict) -> None:
    with pytest.raises(InputError, match=r"has the suffix \.raw, which another format has"):
        files.register_format(raw["Raw"]())
