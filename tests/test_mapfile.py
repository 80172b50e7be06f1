"""The file of a map: exact round trips, and every kind of damage is refused."""

import json
import pickle
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as to_bytes

from asserts import assert_same
from brenier import InputError, MapFileError, TransportMap
from brenier.costs import (
    COSTS,
    AbstractCost,
    AbstractDisplacementCost,
    Convex,
    ElasticNet,
    LogCosh,
    Mahalanobis,
    PNorm,
    SquaredEuclidean,
    to_record,
)
from brenier.files import atomic
from brenier.geometry import Moments, QuadraticGeometry
from brenier.maps import mapfile
from brenier.potentials import POTENTIALS
from made import conditional_map, cost_map, mahalanobis_map
from networks import KINDS, fresh, perturb
from problems import covariance, gaussians

INFO = {"seed": 3, "settings": {"rate": 0.02, "widths": [6, 5, 4]}, "note": 'quotes " and ünïcode \u2603', "none": None}


def make(kind: str, columns=("a", "b"), info=INFO) -> TransportMap:
    pair = gaussians(2)
    sides = Moments(pair.mean_x, pair.covariance_x, 9), Moments(pair.mean_y, pair.covariance_y, 9)
    coordinates = QuadraticGeometry.between(*sides, np.array([0.5, 2.0]))
    if kind == "quadratic":
        potential = eqx.tree_at(lambda u: u.matrix, fresh(kind, 2), fresh(kind, 2).matrix * covariance(2, 3, 0))
        return TransportMap(coordinates, potential, None, columns, info)
    return TransportMap(coordinates, perturb(fresh(kind, 2, (3, 2)), 0), None, columns, info)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "map.brenier"
    make("icnn-ramp").save(path)
    return path


def refused(path: Path, message: str | None = None) -> None:
    with pytest.raises(MapFileError, match=message):
        TransportMap.load(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("columns", "info"), [(None, {}), (("a", "naïve"), INFO)])
def test_a_round_trip_is_exact(kind, columns, info, tmp_path):
    transport = make(kind, columns, info)
    transport.save(tmp_path / "map.brenier")
    loaded = TransportMap.load(str(tmp_path / "map.brenier"))
    assert type(loaded.potential) is type(transport.potential)
    assert dict(loaded.potential.hyperparameters()) == dict(transport.potential.hyperparameters())
    assert (loaded.columns, loaded.info) == (columns, info)
    for field, value in vars(transport.geometry).items():
        found = getattr(loaded.geometry, field)
        assert type(found) is type(value)
        assert_same(found, value)
    ours, theirs = (jax.tree.leaves(eqx.filter(m.potential, eqx.is_array)) for m in (transport, loaded))
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert_same(a, b)
    x = np.random.default_rng(0).standard_normal((20, 2))
    assert_same(loaded.forward(x), transport.forward(x))


def test_saving_again_gives_the_same_contents(saved, tmp_path):
    """The order of entries in a safetensors header is left open by the library that writes it."""

    def contents(path):
        with safe_open(path, framework="numpy") as file:
            return file.metadata(), {name: file.get_tensor(name).tobytes() for name in file.keys()}

    TransportMap.load(saved).save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(saved)


def test_arrays_that_are_not_contiguous_are_written_as_they_read(saved, tmp_path):
    transport = TransportMap.load(saved)
    turned = eqx.tree_at(lambda m: m.geometry.to_x, transport, np.asfortranarray(transport.geometry.to_x))
    turned.save(tmp_path / "turned")
    assert_same(TransportMap.load(tmp_path / "turned").geometry.to_x, transport.geometry.to_x)


def test_every_potential_can_be_saved():
    # Families of potentials are saved in `test_conditional.py`, those on a sphere in `test_sphere.py`.
    assert {kind.split("-")[0] for kind in KINDS} | {"modulated", "sphere"} == set(POTENTIALS)


def test_the_file_is_plain_safetensors_and_json(saved, monkeypatch):
    def refuse(*args: object) -> None:
        raise AssertionError("pickle was used")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    make("quadratic").save(saved.with_name("other"))
    TransportMap.load(saved.with_name("other"))
    with safe_open(saved, framework="numpy") as file:
        description = json.loads(file.metadata()["brenier"])
    assert set(description) == {"format", "kind", "hyperparameters", "columns", "info"}
    assert description["format"] == 1  # maps without conditions can be read by the first version
    assert {str(tensor.dtype) for tensor in read_tensors(saved.read_bytes()).values()} == {"float32", "float64"}


def test_what_json_cannot_hold_is_not_saved(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        make("quadratic", info={"made": object()}).save(tmp_path / "map.brenier")
    assert list(tmp_path.iterdir()) == []


@given(share=st.floats(0, 1, exclude_max=True))
@example(0.0)
def test_a_truncated_file_is_refused(saved, share):
    contents = saved.read_bytes()
    other = saved.with_name("truncated")
    other.write_bytes(contents[: int(share * len(contents))])
    refused(other, "is truncated, or not a map")


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_single_flipped_bit_is_refused(saved, share, bit):
    contents = bytearray(saved.read_bytes())
    contents[int(share * len(contents))] ^= 1 << bit
    other = saved.with_name("flipped")
    other.write_bytes(contents)
    refused(other)


def test_every_byte_counts(saved):
    contents = saved.read_bytes()
    other = saved.with_name("flipped")
    survivors = []
    for position in range(0, len(contents), 7):  # meets every tensor and every field of the header
        other.write_bytes(contents[:position] + bytes([contents[position] ^ 0x10]) + contents[position + 1 :])
        try:
            TransportMap.load(other)
            survivors.append(position)
        except MapFileError:
            pass
    assert survivors == []


@given(extra=st.binary(min_size=1, max_size=20))
def test_appended_bytes_are_refused(saved, extra):
    other = saved.with_name("longer")
    other.write_bytes(saved.read_bytes() + extra)
    refused(other)


def rewritten(saved: Path, name: str, change, *, digest: bool = True, drop: str = "", put=None, edit=str) -> Path:
    """A file whose description, and tensors, were changed on purpose, with or without a matching checksum.

    `change` is done to the description, `edit` to its text; `drop` names a tensor to leave out, `put` has new ones.
    """
    with safe_open(saved, framework="numpy") as file:
        metadata = file.metadata()
    tensors = {key: tensor for key, tensor in read_tensors(saved.read_bytes()).items() if key != drop}
    tensors |= put or {}
    description = json.loads(metadata["brenier"])
    change(description)
    text = edit(json.dumps(description, sort_keys=True))
    metadata = {"brenier": text, "sha256": mapfile._digest(text, tensors) if digest else metadata["sha256"]}
    path = saved.with_name(name)
    path.write_bytes(to_bytes(tensors, metadata=metadata))
    return path


def test_a_newer_format_says_so_even_if_its_checksum_differs(saved):
    newer = mapfile.FORMAT + 1
    for digest in (True, False):
        path = rewritten(saved, "newer", lambda d: d.update(format=newer), digest=digest)
        refused(path, f"format version {newer}; this version of brenier reads up to {mapfile.FORMAT}. Upgrade brenier")
    refused(rewritten(saved, "odd", lambda d: d.update(format="x")), "format version 'x'")
    refused(rewritten(saved, "none", lambda d: d.pop("format")), "description that cannot be read")


def test_an_altered_description_is_refused(saved):
    refused(rewritten(saved, "altered", lambda d: d["info"].update(seed=4), digest=False), "checksum does not match")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(kind="conv"),
        lambda d: d.pop("kind"),
        lambda d: d["hyperparameters"].update(widths=[3, 3]),
        lambda d: d["hyperparameters"].update(floor=2.0),
        lambda d: d["hyperparameters"].update(extra=1),
        lambda d: d["hyperparameters"].pop("dim"),
        lambda d: d["hyperparameters"].update(activation="relu"),
    ],
)
def test_a_description_of_no_known_map_is_refused(saved, change):
    refused(rewritten(saved, "unknown", change), "does not describe a map that this version knows")


@pytest.mark.parametrize("tensor", ["coordinates.unit", "coordinates.from_x", "potential.0"])
def test_a_missing_tensor_is_refused(saved, tensor):
    path = rewritten(saved, "missing", lambda d: None, drop=tensor)
    refused(path, f"does not describe a map that this version knows .*{tensor}")


def test_files_that_are_no_maps_are_refused(tmp_path):
    refused(tmp_path / "absent", "there is no file '.*absent'")
    refused(tmp_path, "not a map that brenier saved")
    for name, contents in [("empty", b""), ("text", b"x,y\n1,2\n" * 50), ("pickle", pickle.dumps({"x": np.zeros(9)}))]:
        (tmp_path / name).write_bytes(contents)
        refused(tmp_path / name, "is truncated, or not a map that brenier saved")
    (tmp_path / "other").write_bytes(to_bytes({"x": np.zeros(3)}))
    refused(tmp_path / "other", "is a safetensors file, but not a map that brenier saved")
    assert issubclass(MapFileError, InputError)


def test_where_nothing_can_be_written_nothing_is_left(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "absent" / "map", tmp_path / "file" / "map", tmp_path):
        with pytest.raises(InputError, match=r"cannot be written|is a folder"):
            make("quadratic").save(path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    # Also for a map that is already there: it stays as it was.
    make("quadratic").save(tmp_path / "map")
    before = (tmp_path / "map").read_bytes()
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, name, full)
            with pytest.raises(InputError, match="cannot be written: No space left on device"):
                make("icnn-ramp").save(tmp_path / "map")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "map"]
        assert (tmp_path / "map").read_bytes() == before


SAVED = [PNorm(1.5), PNorm(3.0), LogCosh(2.0), ElasticNet(0.25)]
"""Costs whose maps have a `cost` in their file."""


@pytest.fixture(scope="module")
def with_cost(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("costs") / "map.brenier"
    cost_map(PNorm(1.5), bent=True).save(path)
    return path


def description_of(path: Path) -> dict:
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["brenier"])


class TestCosts:
    def test_every_displacement_cost_is_saved_here(self):
        own = {name for name, cost in COSTS.items() if issubclass(cost, AbstractDisplacementCost)}
        assert {cost.name for cost in SAVED} | {SquaredEuclidean.name, Mahalanobis.name} == own

    @pytest.mark.parametrize("bent", [False, True])
    @pytest.mark.parametrize("cost", SAVED, ids=str)
    def test_a_round_trip_is_exact(self, cost, bent, tmp_path):
        map_ = cost_map(cost, bent=bent)
        map_.save(tmp_path / "map")
        loaded = TransportMap.load(tmp_path / "map")
        assert type(loaded) is TransportMap
        assert type(TransportMap.load(tmp_path / "map").cost) is type(cost)
        assert loaded.cost == cost
        assert (loaded.columns, loaded.info) == (map_.columns, map_.info)
        ours, theirs = (jax.tree.leaves(m, is_leaf=lambda leaf: leaf is None) for m in (map_, loaded))
        assert len(ours) == len(theirs) > 15
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
        description = description_of(tmp_path / "map")
        assert description["cost"] == to_record(cost) == {"name": cost.name, "arguments": cost.arguments()}
        assert description["format"] == 3

    def test_a_mahalanobis_map_keeps_its_matrix(self, tmp_path):
        map_ = mahalanobis_map()
        map_.save(tmp_path / "map")
        loaded = TransportMap.load(tmp_path / "map")
        assert type(loaded) is TransportMap
        assert_same(loaded.geometry.root, map_.geometry.root)
        assert isinstance(loaded.cost, Mahalanobis)
        np.testing.assert_allclose(loaded.cost.matrix, covariance(3, 3.0, 1), rtol=1e-12)
        x = 30.0 + np.random.default_rng(0).standard_normal((20, 3))
        assert_same(loaded.forward(x), map_.forward(x))
        description = description_of(tmp_path / "map")
        assert "cost" not in description
        assert description["format"] == 3

    def test_maps_for_the_quadratic_cost_stay_readable_by_the_first_version(self, saved):
        assert description_of(saved)["format"] == 1
        assert type(TransportMap.load(saved)) is TransportMap
        assert str(TransportMap.load(saved).cost) == "SquaredEuclidean()"

    def test_a_cost_given_by_functions_is_not_saved(self, tmp_path):
        own = cost_map(Convex(lambda z: 0.5 * (z**2).sum(1), lambda z: z, lambda p: p))
        with pytest.raises(InputError, match=r"a file holds no code\. Derive a class from .*AbstractDisplacementCost"):
            own.save(tmp_path / "map")
        assert list(tmp_path.iterdir()) == []

    def test_a_class_of_the_users_own_is_saved_once_it_is_entered(self, tmp_path, monkeypatch):
        class Doubled(ElasticNet):
            name = "doubled"

        own = cost_map(Doubled(0.5))
        with pytest.raises(InputError, match=r"does not have `Doubled` as 'doubled'. Add it"):
            own.save(tmp_path / "map")
        monkeypatch.setitem(COSTS, "doubled", Doubled)
        own.save(tmp_path / "map")
        assert type(TransportMap.load(tmp_path / "map").cost) is Doubled
        monkeypatch.delitem(COSTS, "doubled")
        with pytest.raises(MapFileError, match=r"the cost 'doubled', which is not in `brenier.costs.COSTS`"):
            TransportMap.load(tmp_path / "map")

    def test_one_reader_reads_every_kind(self, saved, with_cost, tmp_path):
        conditional_map().save(tmp_path / "conditional")
        for path, geometry, conditions in [
            (saved, "QuadraticGeometry", False),
            (with_cost, "DisplacementGeometry", False),
            (tmp_path / "conditional", "ConditionalGeometry", True),
        ]:
            loaded = TransportMap.load(path)
            assert type(loaded.geometry).__name__ == geometry
            assert (loaded.conditions is not None) == conditions

    def test_equal_maps_give_equal_files(self, tmp_path):
        """The library that writes the header puts the entries of its metadata in any order."""
        for number in range(8):
            cost_map(PNorm(1.5)).save(tmp_path / f"{number}")
        assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1

    @pytest.mark.parametrize(
        "record",
        [
            None,
            7,
            "pnorm",
            [],
            {},
            {"name": "pnorm"},
            {"arguments": {}},
            {"name": None, "arguments": {}},
            {"name": ["pnorm"], "arguments": {}},
            {"name": "own", "arguments": {}},
            {"name": "Convex", "arguments": {"h": "print", "gradient": "print", "conjugate_gradient": "print"}},
            {"name": "os.system", "arguments": {"command": "true"}},
            {"name": "pnorm", "arguments": []},
            {"name": "pnorm", "arguments": {}},
            {"name": "pnorm", "arguments": {"q": 1.5}},
            {"name": "pnorm", "arguments": {"p": 1.5, "self": 1}},
            {"name": "pnorm", "arguments": {"p": 0.5}},
            {"name": "pnorm", "arguments": {"p": "1.5"}},
            {"name": "pnorm", "arguments": {"p": [1.5]}},
            {"name": "pnorm", "arguments": {"p": float("nan")}},
            {"name": "pnorm", "arguments": {"p": float("inf")}},
            {"name": "log-cosh", "arguments": {"width": 0}},
            {"name": "log-cosh", "arguments": {"width": True}},
            {"name": "elastic-net", "arguments": {"l1": -1}},
            {"name": "mahalanobis", "arguments": {"A": "x"}},
            {"name": "mahalanobis", "arguments": {"A": {}}},
            {"name": "mahalanobis", "arguments": {"A": [[1, 0], [0]]}},
            {"name": "mahalanobis", "arguments": {"A": [[-1.0]]}},
            {"name": "squared", "arguments": {"p": 2}},
        ],
        ids=repr,
    )
    def test_a_cost_that_is_none_is_refused(self, with_cost, record):
        path = rewritten(with_cost, "hostile", lambda d: d.update(cost=record))
        with pytest.raises(MapFileError, match="does not describe a map that this version knows"):
            TransportMap.load(path)

    def test_records_nested_too_deeply_are_refused(self, with_cost):
        deep = "[" * 100_000 + "]" * 100_000
        path = rewritten(with_cost, "deep", lambda d: d.update(cost="@"), edit=lambda text: text.replace('"@"', deep))
        with pytest.raises(MapFileError, match="description that cannot be read"):
            TransportMap.load(path)

    @pytest.mark.parametrize("name", ["columns", "bend", "reach", "unit", "scale"])
    def test_a_missing_tensor_is_refused(self, with_cost, name):
        path = rewritten(with_cost, "missing", lambda d: None, drop=f"coordinates.{name}")
        with pytest.raises(MapFileError, match=f"does not describe a map .*coordinates.{name}"):
            TransportMap.load(path)

    @pytest.mark.parametrize(
        ("name", "shape"),
        [("columns", (2,)), ("columns", (3, 3)), ("bend", (3,)), ("reach", ()), ("root", (2, 2)), ("root", ())],
    )
    def test_a_tensor_of_another_shape_is_refused(self, with_cost, name, shape):
        path = rewritten(with_cost, "shape", lambda d: None, put={f"coordinates.{name}": np.ones(shape)})
        with pytest.raises(MapFileError, match=f"coordinates.{name} has shape .*, expected"):
            TransportMap.load(path)

    def test_conditions_beside_a_cost_are_refused(self, tmp_path):
        conditional_map().save(tmp_path / "map")
        path = rewritten(tmp_path / "map", "both", lambda d: d.update(cost=to_record(PNorm(1.5))))
        with pytest.raises(MapFileError, match="conditions need the quadratic cost"):
            TransportMap.load(path)

    def test_a_family_without_conditions_is_refused(self, with_cost, saved, tmp_path):
        conditional_map().save(tmp_path / "family")
        family = description_of(tmp_path / "family")
        tensors = {name: own for name, own in read_tensors((tmp_path / "family").read_bytes()).items() if "pot" in name}
        kind = {name: family[name] for name in ("kind", "hyperparameters")}
        for path in (with_cost, saved):
            with pytest.raises(MapFileError, match="its potential needs conditions"):
                TransportMap.load(rewritten(path, "family", lambda d: d.update(kind), put=tensors))

    def test_every_byte_counts(self, with_cost):
        contents = with_cost.read_bytes()
        other = with_cost.with_name("flipped")
        for position in range(0, len(contents), 61):
            other.write_bytes(contents[:position] + bytes([contents[position] ^ 0x10]) + contents[position + 1 :])
            with pytest.raises(MapFileError):
                TransportMap.load(other)


def test_costs_are_told_apart():
    """Equality of costs, on which the round trips rest, is one of their arguments."""
    costs: list[AbstractCost] = [*SAVED, PNorm(1.6), LogCosh(2.5), ElasticNet(0.5)]
    assert [[a == b for b in costs] for a in costs] == np.eye(len(costs), dtype=bool).tolist()
