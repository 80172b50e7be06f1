"""`brenier transform` in parts gives what it gives at once, and a whole output or none."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import brenier.batches
from brenier.cli import app
from brenier.files import read_points
from brenier.files.points import read_with_conditions, row_writer
from commands import as_json
from made import conditional_map, transport_map

ROWS = 20_000
PARTS = ("--memory", "1MB")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brenier.batches, "_CHUNK", brenier.batches.BATCH)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    transport_map("icnn-ramp", 3).save(folder / "m.brenier")
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(ROWS, 3)))
    return folder


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".tsv", ".npz", ".parquet"])
@pytest.mark.parametrize("way", [(), ("--inverse",), ("--t", "0.5")], ids=" ".join)
def test_parts_and_whole_are_the_same(files: Path, tmp_path: Path, suffix: str, way: tuple[str, ...]) -> None:
    if way and suffix != ".npy":
        pytest.skip("the way does not depend on the format")
    outputs = [tmp_path / f"{name}{suffix}" for name in ("whole", "parts")]
    records = [
        as_json("transform", files / "m.brenier", files / "x.npy", "-o", output, *way, *more)
        for output, more in zip(outputs, ((), PARTS), strict=True)
    ]
    assert records[0] | {"output": None} == records[1] | {"output": None}
    assert np.array_equal(*(read_points(output).values for output in outputs))
    if suffix in (".npy", ".csv", ".tsv"):
        assert outputs[0].read_bytes() == outputs[1].read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet", ".zarr"])
def test_every_format_is_read_in_parts(files: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    source = tmp_path / f"x{suffix}"
    with row_writer(source, 3, ["c0", "c1", "c2"], ROWS) as writer:
        points = np.load(files / "x.npy")
        for start in range(0, ROWS, 6000):
            writer.write(points[start : start + 6000], [])
    as_json("transform", files / "m.brenier", source, "-o", tmp_path / "out.npy", *PARTS)
    as_json("transform", files / "m.brenier", files / "x.npy", "-o", tmp_path / "whole.npy")
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert not list(tmp_path.glob(".brenier*"))


def test_h5ad_in_parts(files: Path, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    points = np.load(files / "x.npy")
    anndata.AnnData(obsm={"p": points}, shape=(ROWS, 1)).write_h5ad(tmp_path / "x.h5ad")
    for name, more in (("whole", ()), ("parts", PARTS)):
        output = tmp_path / f"{name}.h5ad"
        as_json("transform", files / "m.brenier", tmp_path / "x.h5ad", "-o", output, "--obsm", "p", *more)
    whole, parts = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("whole", "parts"))
    assert np.array_equal(whole.obsm["p_transported"], parts.obsm["p_transported"])
    assert np.array_equal(parts.obsm["p"], points)


def test_conditions_are_carried_along(tmp_path: Path) -> None:
    map_ = conditional_map(2, 0, 2)
    names = [variable.name for variable in map_.conditions.variables]
    assert len(names) == 1
    assert names[0] is not None
    map_.save(tmp_path / "m.brenier")
    labels = np.random.default_rng(1).choice(map_.conditions.classes[0:1][0] if map_.conditions.classes else [], ROWS)
    points = np.random.default_rng(0).normal(size=(ROWS, 2))
    lines = [f"x0,x1,{names[0]}"] + [f"{a!r},{b!r},{own}" for (a, b), own in zip(points.tolist(), labels, strict=True)]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    found = []
    for name, more in (("whole", ()), ("parts", PARTS)):
        as_json("transform", tmp_path / "m.brenier", tmp_path / "x.csv", "-o", tmp_path / f"{name}.csv", *more)
        found.append(read_with_conditions(tmp_path / f"{name}.csv", None, [names[0]]))
    assert np.allclose(found[0][0].values, found[1][0].values, atol=1e-5)
    assert found[0][1][0].values.tolist() == found[1][1][0].values.tolist()


@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_a_bad_row_far_down_leaves_the_old_output(files: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    points = np.load(files / "x.npy")
    points[19_000, 1] = np.inf
    np.save(tmp_path / "bad.npy", points)
    output = tmp_path / f"out{suffix}"
    with row_writer(output, 3, None, 5) as writer:
        writer.write(np.ones((5, 3)), [])
    command = ["transform", files / "m.brenier", tmp_path / "bad.npy", "-o", output, *PARTS]
    result = CliRunner().invoke(app, [str(own) for own in command])
    assert result.exit_code == 2
    assert "rows 16,384 to 19,999: NaN or infinity in rows 19000" in result.output
    opened = read_points(output)
    assert opened.values.tolist() == np.ones((5, 3)).tolist()
    assert not list(tmp_path.glob(".brenier*"))
