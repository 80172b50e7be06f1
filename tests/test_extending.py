"""Potentials and solvers of the user's own: they are what is trained and what solves, and misfits are refused."""

import re
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import BrenierMap, InputError, files
from brenier.conjugate import conjugate_points
from brenier.files import registry
from brenier.potentials import POTENTIALS, AbstractPotential, Quadratic
from brenier.solvers import Picard
from brenier.training import choose_config
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
    return BrenierMap(potential=Scaled, max_steps=128, refit=False, random_state=0).fit(*clouds(rng))


def test_the_own_potential_is_what_was_trained(fitted: BrenierMap) -> None:
    # Where nothing beat the Gaussian map, the map is that; its settings say what was trained in either case.
    assert isinstance(fitted.map_.potential, Quadratic if fitted.gaussian_ else Scaled)
    assert fitted.map_.info["settings"]["potential"] == "Scaled"


def test_the_factory_gets_columns_and_randomness(rng: np.random.Generator) -> None:
    seen = []

    def make(dim: int, generator: np.random.Generator) -> Scaled:
        seen.append((dim, generator.integers(1 << 30)))
        return Scaled(dim, generator)

    for seed in (0, 0, 1):
        BrenierMap(potential=make, max_steps=128, refit=False, random_state=seed).fit(*clouds(rng))
    assert {dim for dim, _ in seen} == {2}
    assert seen[0] == seen[1] != seen[2]


def test_settings_without_a_potential_are_what_they_were() -> None:
    assert "potential" not in choose_config(2, 100).summary()


@pytest.mark.parametrize("wrong", [lambda dim, rng: Quadratic.identity(dim + 1), lambda dim, rng: lambda x: x])
def test_what_is_no_potential_is_refused(wrong, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="`potential` must return an `AbstractPotential` whose `dim` is 2"):
        BrenierMap(potential=wrong, max_steps=128).fit(*clouds(rng))


def test_conditions_are_refused(rng: np.random.Generator) -> None:
    X, Y = clouds(rng)
    kind = np.arange(1000) % 2
    with pytest.raises(InputError, match="without conditions only"):
        BrenierMap(potential=Scaled, max_steps=128).fit(X, Y, x_condition=kind, y_condition=kind)


@pytest.mark.parametrize(("name", "value"), [("potential", "icnn"), ("solver", "newton"), ("solver", Picard)])
def test_other_arguments_are_refused(name: str, value: object, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=f"`{name}` must be a"):
        BrenierMap(**{name: value}).fit(*clouds(rng))


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
    ot = BrenierMap(solver=Counting(), max_steps=128, batch_size=256, refit=False, random_state=0).fit(*clouds(rng))
    assert (256, 2) in CALLS
    assert ot.map_.info["settings"]["solver"] == "Counting"


def test_the_own_solver_solves_conjugates(rng: np.random.Generator) -> None:
    CALLS.clear()
    y = np.float32(rng.normal(size=(100, 2)))
    found = conjugate_points(Quadratic(jnp.diag(jnp.array([0.5, 1.5]))), y, solver=Counting())
    assert CALLS
    assert np.abs(found.points - y / np.array([0.5, 1.5])).max() < 1e-4


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The format of the page, registered as it says."""
    page = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
    (program,) = re.findall(r"## A file format of your own.*?```python\n(.*?)```", page, flags=re.DOTALL)
    assert len([line for line in program.splitlines() if line.strip()]) < 30
    monkeypatch.setattr(registry, "FORMATS", registry.FORMATS.copy())
    names: dict[str, Any] = {}
    exec(program, names)
    return names


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
