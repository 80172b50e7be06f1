"""Files of earlier versions: read for ever, with the same numbers; and the document suffices to read them."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

import format_reader
from asserts import assert_close
from brenier import ConvergenceWarning, MapFileError, TransportMap
from brenier.maps import mapfile

FOLDER = Path(__file__).parent / "formats"
FILES = sorted(path.stem for path in FOLDER.glob("*.brenier"))
READABLE = [name for name in FILES if name != "early-icnn"]


def expected(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_there_is_a_file_of_every_kind():
    kinds = {format_reader.read(FOLDER / f"{name}.brenier")[0]["kind"] for name in FILES}
    assert kinds == {"icnn", "mlp", "modulated", "quadratic", "sphere"}
    versions = {format_reader.read(FOLDER / f"{name}.brenier")[0]["format"] for name in FILES}
    assert versions == set(range(1, mapfile.FORMAT + 1))
    assert len(FILES) == 22


@pytest.mark.parametrize("name", READABLE)
def test_earlier_files_give_the_same_numbers(name):
    wanted, path = expected(name), FOLDER / f"{name}.brenier"
    x, y = np.array(wanted["x"]), np.array(wanted["y"])
    # Single precision rounds differently on other machines.
    if "conditions" in wanted:
        map_ = TransportMap.load(path)
        for row, condition in enumerate(wanted["conditions"]):
            assert_close(map_.forward(x[[row]], condition=tuple(condition)), y[[row]], atol=1e-5 * y.std())
        return
    map_ = TransportMap.load(path)
    # In one file, points lie where the potential is too steep for the cost: their images are cut.
    steep = pytest.warns(ConvergenceWarning, match="steeper") if name == "3-log-cosh" else nullcontext()
    with steep:
        images = map_.forward(x)
    assert_close(images, y, atol=1e-5 * y.std())
    assert list(map_.columns or []) == wanted["columns"]
    assert map_.info == wanted["info"]
    if "log_density" in wanted:
        assert_close(map_.log_density(x), np.array(wanted["log_density"]), atol=1e-3)


def test_files_name_their_cost():
    found = {name: str(TransportMap.load(FOLDER / f"{name}.brenier").cost) for name in FILES if name.startswith("3-")}
    matrix = found.pop("3-mahalanobis")
    assert matrix.startswith("Mahalanobis(A=[[")
    assert found == {
        "3-elastic-net": "ElasticNet(l1=0.1)",
        "3-log-cosh": "LogCosh(width=2.0)",
        "3-pnorm": "PNorm(p=1.5)",
        "3-sphere": "GreatCircle()",
        "3-translation": "PNorm(p=1.5)",
    }


@pytest.mark.parametrize("name", READABLE)
def test_the_document_suffices(name):
    """A reader in NumPy, in double precision, finds the images that this library computed in single."""
    wanted = expected(name)
    codes = np.array(wanted["codes"]) if "codes" in wanted else None
    y = np.array(wanted["y"])
    found = format_reader.forward(FOLDER / f"{name}.brenier", np.array(wanted["x"]), codes)
    assert_close(found, y, atol=1e-5 * y.std())


def test_networks_from_before_the_format_was_settled_are_refused():
    """Their quadratic forms were not rounded, and nothing in the file says so."""
    with pytest.raises(MapFileError, match=r"does not describe a map that this version knows .*inert"):
        TransportMap.load(FOLDER / "early-icnn.brenier")


@pytest.mark.parametrize(("version", "refused"), [(mapfile.FORMAT, False), (mapfile.FORMAT + 1, True), (99, True)])
def test_newer_versions_are_refused_by_number(version, refused, tmp_path):
    description, tensors = format_reader.read(FOLDER / "2-classes.brenier")
    from safetensors.numpy import save_file

    text = json.dumps(description | {"format": version}, sort_keys=True)
    digest = mapfile._digest(text, tensors)
    save_file(tensors, tmp_path / "map", metadata={"brenier": text, "sha256": digest})
    if refused:
        with pytest.raises(
            MapFileError, match=rf"format version {version}; this version of brenier reads up to {mapfile.FORMAT}\. "
        ):
            TransportMap.load(tmp_path / "map")
    else:
        TransportMap.load(tmp_path / "map")
