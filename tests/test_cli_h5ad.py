"""AnnData files on the command line: parts of them read piece by piece, whole files written with something added."""

import importlib.util
import shutil
import tracemalloc
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from typer.testing import CliRunner

from brenier import BrenierDensity, BrenierMap, InputError, TransportMap
from brenier.cli import app
from brenier.data import memory
from brenier.files import atomic, read_points
from brenier.files.points import read_with_conditions
from commands import as_json, run

STEPS = ("--max-steps", "128", "--seed", "0")
GENES = ["Sox2", "Gata1", "Cd4"]


def cells(seed: int, shift: float, count: int = 400) -> ad.AnnData:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(20.0 + shift, (count, 3)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(np.where(np.arange(count) % 2, "T", "B")),
            "cluster": pd.Categorical(np.arange(count) % 2),
            "age": rng.uniform(20.0, 60.0, count),
            "w": rng.integers(1, 4, count),
            "batch": pd.Categorical([None if row == 3 else "b1" for row in range(count)]),
        },
        index=[f"cell{seed}-{row}" for row in range(count)],
    )
    found = ad.AnnData(sp.csr_matrix(counts), obs, pd.DataFrame({"chromosome": ["3", "X", "12"]}, index=GENES))
    logs = np.log1p(counts) + 0.01 * rng.normal(size=counts.shape)
    found.layers["logs"], found.layers["columns"] = logs, sp.csc_matrix(logs)
    found.obsm["X_pca"] = rng.normal(size=(count, 2)) + shift
    found.obsm["frame"] = pd.DataFrame(found.obsm["X_pca"], found.obs_names, ["PC1", "PC2"])
    found.uns["brenier"] = {"older": {"version": "0.0"}}
    return found


CONTROL, TREATED = cells(0, 0.0), cells(1, 2.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Control and treated cells, and a map between their principal components."""
    folder = tmp_path_factory.mktemp("cells")
    paths = folder / "control.h5ad", folder / "treated.h5ad", folder / "effect.brenier"
    for own, path in zip((CONTROL, TREATED), paths, strict=False):
        own.copy().write_h5ad(path)
    run("fit", *paths[:2], "-o", paths[2], *STEPS, "--obsm", "X_pca")
    return paths


def fails(*args: object) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


class TestFit:
    def test_is_that_of_the_library(self, files) -> None:
        ot = BrenierMap(max_steps=128, random_state=0, obsm="X_pca").fit(CONTROL, TREATED)
        loaded = TransportMap.load(files[2])
        np.testing.assert_array_equal(loaded.forward(CONTROL.obsm["X_pca"]), ot.transform(CONTROL.obsm["X_pca"]))
        assert loaded.info["anndata"] == ot.map_.info["anndata"] == "obsm/X_pca"
        assert "AnnData fitted on obsm/X_pca" in " ".join(run("inspect", files[2]).stdout.split())

    @pytest.mark.parametrize(
        ("part", "columns"),
        [
            (("--layer", "logs"), GENES),
            (("--layer", "columns"), GENES),
            ((), GENES),
            (("--obsm", "frame"), ["PC1", "PC2"]),
        ],
    )
    def test_of_other_parts(self, part: tuple, columns: list, files, tmp_path) -> None:
        record = as_json("fit", *files[:2], "-o", tmp_path / "m.brenier", "--max-steps", "2", *part)
        assert (record["rows"], record["columns"]) == ([400, 400], columns)
        values = {"logs": CONTROL.layers["logs"], "columns": CONTROL.layers["logs"], "frame": CONTROL.obsm["X_pca"]}
        expected = values[part[1]] if part else CONTROL.X.toarray()
        key = {"--layer": "layers", "--obsm": "obsm"}[part[0]] + f"/{part[1]}" if part else None
        np.testing.assert_array_equal(read_points(files[0], key).values, expected)

    def test_with_conditions_and_weights(self, files, tmp_path) -> None:
        options = ("--obsm", "X_pca", "--condition", "cell_type", "--weight", "w")
        record = as_json("fit", *files[:2], "-o", tmp_path / "m.brenier", *STEPS, *options)
        assert [own["labels"] for own in record["conditions"]["classes"]] == [["B"], ["T"]]
        ot = BrenierMap(max_steps=128, random_state=0, obsm="X_pca").fit(
            CONTROL, TREATED, x_condition="cell_type", y_condition="cell_type", x_weight="w", y_weight="w"
        )
        run("transform", tmp_path / "m.brenier", files[0], "-o", tmp_path / "moved.h5ad")
        moved = ad.read_h5ad(tmp_path / "moved.h5ad").obsm["X_pca_transported"]
        np.testing.assert_array_equal(moved, ot.transform(CONTROL).obsm["X_pca_transported"])
        run("transform", tmp_path / "m.brenier", files[0], "-o", tmp_path / "moved.h5ad", "--at", "T")
        moved = ad.read_h5ad(tmp_path / "moved.h5ad").obsm["X_pca_transported"]
        np.testing.assert_array_equal(moved, ot.transform(CONTROL, condition="T").obsm["X_pca_transported"])

    def test_categories_of_numbers_are_labels(self, files) -> None:
        _, (cluster, age) = read_with_conditions(files[0], "obsm/X_pca", ["cluster", "age"])
        assert cluster.values[:3].tolist() == ["0", "1", "0"]
        np.testing.assert_array_equal(age.values, CONTROL.obs["age"])

    def test_beside_a_table(self, files, tmp_path) -> None:
        np.save(tmp_path / "treated.npy", TREATED.obsm["X_pca"])
        run("fit", files[0], tmp_path / "treated.npy", "-o", tmp_path / "m.brenier", *STEPS, "--obsm", "X_pca")
        maps = [TransportMap.load(path).forward(CONTROL.obsm["X_pca"]) for path in (tmp_path / "m.brenier", files[2])]
        np.testing.assert_array_equal(*maps)


class TestTransform:
    def test_writes_the_whole_file_with_the_addition(self, files, tmp_path) -> None:
        record = as_json("transform", files[2], files[0], "-o", tmp_path / "moved.h5ad")
        assert (record["added"], record["rows"]) == ("obsm/X_pca_transported", 400)
        given, moved = ad.read_h5ad(files[0]), ad.read_h5ad(tmp_path / "moved.h5ad")
        map_ = TransportMap.load(files[2])
        np.testing.assert_array_equal(moved.obsm["X_pca_transported"], map_.forward(CONTROL.obsm["X_pca"]))
        pd.testing.assert_frame_equal(moved.obs, given.obs)
        pd.testing.assert_frame_equal(moved.var, given.var)
        np.testing.assert_array_equal(moved.X.toarray(), given.X.toarray())
        assert set(moved.obsm) == {*given.obsm, "X_pca_transported"}
        assert set(moved.layers) == set(given.layers)
        own = moved.uns["brenier"].pop("X_pca_transported")
        assert moved.uns["brenier"] == {"older": {"version": "0.0"}}
        assert (own["source"], own["direction"], own["t"]) == ("obsm/X_pca", "forward", 1.0)
        assert list(files[0].parent.glob(".brenier*")) == []

    @pytest.mark.parametrize(
        ("options", "added", "direction"),
        [
            (("--inverse",), "obsm/X_pca_transported_back", "inverse"),
            (("--t", "0.5"), "obsm/X_pca_interpolated", "interpolate"),
            (("--obsm", "frame"), "obsm/frame_transported", "forward"),
        ],
    )
    def test_in_other_ways(self, options: tuple, added: str, direction: str, files, tmp_path) -> None:
        record = as_json("transform", files[2], files[0], "-o", tmp_path / "moved.h5ad", *options)
        assert record["added"] == added
        moved, name = ad.read_h5ad(tmp_path / "moved.h5ad"), added.partition("/")[2]
        assert moved.uns["brenier"][name]["direction"] == direction
        map_, points = TransportMap.load(files[2]), CONTROL.obsm["X_pca"]
        expected = {
            "inverse": lambda: map_.inverse(points),
            "interpolate": lambda: map_.interpolate(points, 0.5),
            "forward": lambda: map_.forward(points),
        }
        np.testing.assert_array_equal(moved.obsm[name], expected[direction]())
        assert "Added" in run("transform", files[2], files[0], "-o", tmp_path / "moved.h5ad", *options).stdout

    def test_of_layers(self, files, tmp_path) -> None:
        run("fit", *files[:2], "-o", tmp_path / "m.brenier", "--max-steps", "2", "--layer", "logs")
        run("transform", tmp_path / "m.brenier", files[0], "-o", tmp_path / "moved.h5ad")
        moved = ad.read_h5ad(tmp_path / "moved.h5ad")
        expected = TransportMap.load(tmp_path / "m.brenier").forward(CONTROL.layers["logs"])
        np.testing.assert_array_equal(moved.layers["transported"], expected)
        other = CONTROL[:, ["Gata1", "Sox2", "Cd4"]].copy()
        other.write_h5ad(tmp_path / "other.h5ad")
        message = fails("transform", tmp_path / "m.brenier", tmp_path / "other.h5ad", "-o", tmp_path / "none.h5ad")
        assert "must have the columns of the map, Sox2, Gata1, Cd4; got Gata1, Sox2, Cd4. Change the order" in message
        assert not (tmp_path / "none.h5ad").exists()

    def test_to_a_table(self, files, tmp_path) -> None:
        run("transform", files[2], files[0], "-o", tmp_path / "moved.csv", "--obsm", "frame")
        moved = pd.read_csv(tmp_path / "moved.csv", float_precision="round_trip")
        assert list(moved.columns) == ["PC1", "PC2"]
        np.testing.assert_array_equal(moved, TransportMap.load(files[2]).forward(CONTROL.obsm["X_pca"]))

    def test_whole_or_not_at_all(self, files, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
        output = tmp_path / "moved.h5ad"
        output.write_text("before")

        def broken(*args: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(atomic.os, "replace", broken)
        assert "cannot be written: No space left on device" in fails("transform", files[2], files[0], "-o", output)
        assert output.read_text() == "before"
        assert [path.name for path in tmp_path.iterdir()] == ["moved.h5ad"]


class TestOtherCommands:
    def test_distances(self, files) -> None:
        record = as_json("distance", files[2], *files[:2], "--no-empirical")
        map_ = TransportMap.load(files[2])
        expected = map_.distance(CONTROL.obsm["X_pca"], TREATED.obsm["X_pca"], empirical=False)
        assert record["w2"] == expected.w2
        weighted = as_json("distance", files[2], *files[:2], "--no-empirical", "--weight", "w", "--obsm", "frame")
        weights = {"x_weight": CONTROL.obs["w"], "y_weight": TREATED.obs["w"]}
        assert weighted["w2"] == pytest.approx(
            map_.distance(CONTROL.obsm["X_pca"], TREATED.obsm["X_pca"], empirical=False, **weights).w2, rel=1e-12
        )
        assert weighted["w2"] != record["w2"]

    def test_densities(self, files, tmp_path) -> None:
        run("density", files[0], "-o", tmp_path / "d.brenier", "--obsm", "X_pca", "--max-steps", "4", "--weight", "w")
        own = BrenierDensity(max_steps=64, random_state=0, obsm="X_pca").fit(CONTROL, sample_weight="w")
        run("logpdf", tmp_path / "d.brenier", files[1], "-o", tmp_path / "logs.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "logs.npy")[:, 0], own.score_samples(TREATED))
        message = fails("logpdf", tmp_path / "d.brenier", files[1], "-o", tmp_path / "logs.h5ad")
        assert "logs.h5ad` must end in .npy" in message


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                ("--obsm", "X_umap"),
                "control.h5ad` has no obsm 'X_umap'; it has obsm X_pca, frame; layers columns, logs; X.",
            ),
            (
                ("--layer", "counts"),
                "has no layers 'counts'; it has obsm X_pca, frame; layers columns, logs; X. Choose one",
            ),
            (("--obsm", "X_pca", "--layer", "logs"), "`--obsm` ('X_pca') and `--layer` ('logs') are both given"),
            (("--key", "a"), "`--key` ('a') is for .npz archives. Choose a part of"),
            (
                ("--obsm", "X_pca", "--condition", "celltype"),
                "has no column `celltype` to take conditions from: it has cell_t",
            ),
            (("--obsm", "X_pca", "--condition", "batch"), "column `batch` has 1 missing entries, in rows 3"),
            (("--obsm", "X_pca", "--weight", "v"), "`--weight`: there is no column `v`"),
        ],
    )
    def test_of_parts_that_are_not_there(self, options: tuple, message: str, files, tmp_path) -> None:
        assert message in fails("fit", *files[:2], "-o", tmp_path / "m.brenier", *options)

    def test_of_files(self, files, tmp_path) -> None:
        np.save(tmp_path / "x.npy", CONTROL.obsm["X_pca"])
        (tmp_path / "bad.h5ad").write_bytes(files[0].read_bytes()[:3000])
        with h5py.File(tmp_path / "empty.h5ad", "w"):
            pass
        x, m = tmp_path / "x.npy", tmp_path / "m.brenier"
        assert f"`--obsm` is for .h5ad files, and `{x}` and `{x}` is none" in fails("fit", x, x, "-o", m, "--obsm", "a")
        assert "bad.h5ad` is not a whole .h5ad file" in fails("fit", tmp_path / "bad.h5ad", x, "-o", m)
        assert "empty.h5ad` is no AnnData: it lacks `obs` or `var`" in fails("fit", tmp_path / "empty.h5ad", x, "-o", m)
        assert "none.h5ad` cannot be read: No such file" in fails("fit", tmp_path / "none.h5ad", x, "-o", m)
        assert "is to be INPUT with something added, but" in fails("transform", files[2], x, "-o", tmp_path / "o.h5ad")
        assert "is to hold a map. Name it" in fails("fit", *files[:2], "-o", tmp_path / "m.h5ad")
        shutil.copy(files[0], tmp_path / "own.h5ad")
        own = tmp_path / "own.h5ad"
        assert "is also an input, and would be overwritten" in fails("transform", files[2], own, "-o", own)

    def test_of_a_library_that_is_missing(self, files, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
        inner = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "anndata" else inner(name))
        message = fails("transform", files[2], files[0], "-o", tmp_path / "o.h5ad")
        assert 'control.h5ad`: .h5ad files need anndata. Run `pip install "brenier[anndata]"`.' in message

    def test_of_matrices_that_are_too_large(self, files, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "MOST_BYTES", 8 * 3 * 399)
        message = fails("fit", *files[:2], "-o", tmp_path / "m.brenier")
        assert "has 400 rows and 3 columns, 9.38 KiB as a dense array in double precision; at most 9.35 KiB" in message
        run("fit", *files[:2], "-o", tmp_path / "m.brenier", "--obsm", "X_pca", "--max-steps", "2")


class TestMemory:
    @pytest.mark.parametrize("key", ["X", "layers/logs", "layers/columns"])
    def test_parts_are_read_piece_by_piece(self, key: str, files, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "_CHUNK_BYTES", 8 * 50)
        sizes: list[int] = []
        monkeypatch.setattr("brenier.data.cells._to_array", lambda piece: _counted(piece, sizes))
        values = read_points(files[0], key).values
        expected = CONTROL.X.toarray() if key == "X" else CONTROL.layers["logs"]
        np.testing.assert_array_equal(values, expected)
        most = 400 if key == "layers/columns" else 48  # one column, or 16 rows
        assert max(sizes) == most
        assert sum(sizes) == 1200

    def test_a_large_part_is_held_once(self, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "_CHUNK_BYTES", 1 << 20)
        large = ad.AnnData(np.random.default_rng(0).normal(size=(2000, 1000)).astype(np.float32))
        large.write_h5ad(tmp_path / "large.h5ad")
        read_points(tmp_path / "large.h5ad")  # what is imported counts, too
        tracemalloc.start()
        values = read_points(tmp_path / "large.h5ad").values
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert values.nbytes == 16_000_000
        assert peak < 1.2 * values.nbytes

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_arrays_are_mapped_from_their_files(self, order, tmp_path) -> None:
        np.save(tmp_path / "x.npy", np.asarray(np.random.default_rng(0).normal(size=(100_000, 20)), order=order))
        tracemalloc.start()
        values = read_points(tmp_path / "x.npy").values
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.05 * values.nbytes
        np.testing.assert_array_equal(values, np.load(tmp_path / "x.npy"))
        (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:5000])
        with pytest.raises(InputError, match=r"cut.npy` is not a whole .npy file"):
            read_points(tmp_path / "cut.npy")


def _counted(piece: object, sizes: list[int]) -> np.ndarray:
    found = piece.toarray() if sp.issparse(piece) else np.asarray(piece)
    sizes.append(found.size)
    return found
