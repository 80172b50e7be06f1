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
from brenier import InputError, MapFileError, TransportMap, mapfile
from brenier.coordinates import BuresCoordinates, Moments
from brenier.data import atomic
from brenier.potentials import POTENTIALS
from networks import KINDS, fresh, perturb
from problems import covariance, gaussians

INFO = {"seed": 3, "settings": {"rate": 0.02, "widths": [6, 5, 4]}, "note": 'quotes " and ünïcode \u2603', "none": None}


def make(kind: str, columns=("a", "b"), info=INFO) -> TransportMap:
    pair = gaussians(2)
    sides = Moments(pair.mean_x, pair.covariance_x, 9), Moments(pair.mean_y, pair.covariance_y, 9)
    coordinates = BuresCoordinates.between(*sides, np.array([0.5, 2.0]))
    if kind == "quadratic":
        potential = eqx.tree_at(lambda u: u.matrix, fresh(kind, 2), fresh(kind, 2).matrix * covariance(2, 3, 0))
        return TransportMap(coordinates, potential, columns, info)
    return TransportMap(coordinates, perturb(fresh(kind, 2, (3, 2)), 0), columns, info)


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
    for field, value in vars(transport.coordinates).items():
        found = getattr(loaded.coordinates, field)
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
    turned = eqx.tree_at(lambda m: m.coordinates.to_x, transport, np.asfortranarray(transport.coordinates.to_x))
    turned.save(tmp_path / "turned")
    assert_same(TransportMap.load(tmp_path / "turned").coordinates.to_x, transport.coordinates.to_x)


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


def rewritten(saved: Path, name: str, change, *, digest: bool = True, drop: str = "") -> Path:
    """A file whose description, and tensors, were changed on purpose, with or without a matching checksum."""
    with safe_open(saved, framework="numpy") as file:
        metadata = file.metadata()
    tensors = {key: tensor for key, tensor in read_tensors(saved.read_bytes()).items() if key != drop}
    description = json.loads(metadata["brenier"])
    change(description)
    text = json.dumps(description, sort_keys=True)
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
