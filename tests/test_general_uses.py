"""Maps for other costs where maps go: reports, programs, AnnData, joined samples, and one function that reads them."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

import brenier
from asserts import assert_close, assert_same
from brenier import BrenierMap, InputError, JoinedMap, Training, TransportMap
from brenier.costs import Convex, ElasticNet, PNorm
from brenier.estimators.anndata import transport
from brenier.export import save_stablehlo, save_torch, to_torch
from brenier.report import write_report
from brenier.report.projection import projection
from brenier.report.sides import Sides, read_sides
from made import SHIFT, cost_map, mahalanobis_map
from problems import covariance


def clouds(map_: TransportMap, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Points of the source, and what the map makes of others."""
    x, other = SHIFT + np.random.default_rng(0).standard_normal((2, rows, map_.dim))
    return x, np.asarray(map_.forward(other))


def sides_of(map_: TransportMap) -> Sides:
    return read_sides(map_, clouds(map_), (None, None), (None, None), ("x", "y"), 100, 0)


class TestReport:
    def test_displacements_are_measured_as_the_cost_does(self):
        map_ = mahalanobis_map("icnn-softplus", 3)
        sides = sides_of(map_)
        x, units = sides.x.points, np.linspace(0.5, 2.0, 3)
        metric = covariance(3, 3.0, 1) / np.outer(units, units)
        wanted = np.diag(cdist(x, sides.images, "mahalanobis", VI=metric))
        assert_close(np.linalg.norm(sides.moves, axis=1), wanted, rtol=1e-9)
        assert_close(sides.column_moves, (sides.images - x) / units, rtol=1e-12)

    def test_axes_of_displacements_are_named_by_columns(self):
        """The text gives the first axis as a mixture of columns, whose values differ from the axis by a constant."""
        sides = sides_of(mahalanobis_map("icnn-softplus", 3))
        found = projection(sides)
        words = found.rule.split("the first one is ")[1].split(";")[0].split(", and")[0]
        terms = words.replace("\N{MINUS SIGN} ", "-").replace("+ ", "").split()
        weights = {name: float(size) for size, name in zip(terms[::2], terms[1::2], strict=True)}
        mixed = sum(
            size * sides.x.points[:, int(name[1:])] / np.linspace(0.5, 2.0, 3)[int(name[1:])]
            for name, size in weights.items()
        )
        assert len(weights) == 3
        assert_close(mixed - mixed.mean(), found.source[:, 0] - found.source[:, 0].mean(), atol=0.05)

    def test_rows_that_cost_most_come_first(self, tmp_path: Path):
        map_ = cost_map(PNorm(4.0))
        x, y = clouds(map_)
        write_report(map_, x, y, tmp_path / "page.html")
        units = np.linspace(0.5, 2.0, 3)
        costs = np.sum(np.abs((x - np.asarray(map_.forward(x))) / units) ** 4.0, axis=1) / 4.0
        text = (tmp_path / "page.html").read_text()
        table = text[text.index("with the largest cost") :]
        rows = table.split('<th scope="row">')[1:9]
        assert [int(row.partition("<")[0]) for row in rows] == np.argsort(-costs)[:8].tolist()

    def test_a_cost_of_the_users_own(self, tmp_path: Path):
        map_ = cost_map(Convex(lambda z: 0.5 * (z**2).sum(1), lambda z: z, lambda p: p))
        write_report(map_, *clouds(map_), tmp_path / "page.html")
        assert "No file can hold it" in (tmp_path / "page.html").read_text()

    def test_a_bound_where_there_is_one(self, tmp_path: Path):
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((2, 300, 2))
        y = y + 2.0
        ot = BrenierMap(
            cost=ElasticNet(0.1), training=Training(potential=convex), max_steps=128, refit=False, random_state=0
        )
        report = write_report(ot.fit(x[:200], y[:200]), x[200:], y[200:], tmp_path / "page.html")
        assert report.distance.population_lower is not None
        assert "with 95 % confidence for their populations" in report.verdict
        # The translation is the best map, and its cost that of the shift.
        assert report.distance.population_lower < 2 * (2.0 + 0.2) < 1.2 * report.distance.value
        assert "; where the inner problems are solved" in (tmp_path / "page.html").read_text()


def convex(dim: int, rng: np.random.Generator):
    return brenier.potentials.ICNN(dim, (8,), rng=rng)


class TestPrograms:
    @pytest.mark.parametrize("inverse", [False, True])
    def test_torch_of_a_mahalanobis_map(self, inverse: bool, tmp_path: Path):
        torch = pytest.importorskip("torch")
        map_ = mahalanobis_map()
        x, y = clouds(map_, 8)
        save_torch(map_, tmp_path / "p.pt2", inverse=inverse, dtype="float64")
        found = torch.export.load(tmp_path / "p.pt2").module()(torch.as_tensor(y if inverse else x))
        found, wanted = (found[0], map_.inverse(y)) if inverse else (found, map_.forward(x))
        assert_close(found.detach().numpy(), np.asarray(wanted), atol=1e-4)

    def test_stablehlo_of_a_mahalanobis_map(self, tmp_path: Path):
        pytest.importorskip("flatbuffers")
        import zipfile

        import jax

        map_ = mahalanobis_map()
        x = clouds(map_, 8)[0]
        save_stablehlo(map_, tmp_path / "p.zip")
        program = jax.export.deserialize(bytearray(zipfile.ZipFile(tmp_path / "p.zip").read("program.jax")))
        assert_close(np.asarray(program.call(x.astype(np.float32))), np.asarray(map_.forward(x)), atol=1e-4)

    def test_other_costs_are_refused(self, tmp_path: Path):
        map_ = cost_map(PNorm(1.5))
        for write in (
            to_torch,
            lambda own: save_torch(own, tmp_path / "p"),
            lambda own: save_stablehlo(own, tmp_path / "p"),
        ):
            with pytest.raises(InputError, match=r"`map_` is for the cost PNorm\(p=1.5\); programs exist for"):
                write(map_)
        assert list(tmp_path.iterdir()) == []


def test_anndata_are_moved_and_the_map_is_named():
    map_ = cost_map(PNorm(1.5))
    x, y = clouds(map_)
    cells = ad.AnnData(x, var=pd.DataFrame(index=list(map_.columns or [])))
    transport(map_, cells)
    assert_same(cells.layers["transported"], map_.forward(x))
    known = cells.uns["brenier"]["transported"]["map"]
    for other, same in [
        (cost_map(PNorm(1.5)), True),
        (cost_map(PNorm(1.6)), False),
        (cost_map(PNorm(1.5), bent=True), False),
    ]:
        transport(other, cells)
        assert (cells.uns["brenier"]["transported"]["map"] == known) is same
    back = ad.AnnData(y, var=cells.var)
    transport(map_, back, inverse=True)
    assert_same(back.layers["transported_back"], map_.inverse_with_status(y).points)


def test_joined_samples_pass_the_cost_along():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((80, 2)), rng.standard_normal((100, 2)) + 3.0
    joined = JoinedMap(
        BrenierMap(
            cost=PNorm(1.5), holdout=0.3, max_steps=128, training=Training(hidden=[8]), refit=False, random_state=0
        )
    )
    rows, side = np.vstack([x, y]), np.repeat([0, 1], [80, 100])
    fitted = joined.fit(rows, side)
    assert str(fitted.estimator_.map_.cost) == "PNorm(p=1.5)"
    assert fitted.score(rows, side) == fitted.estimator_.score(x, y)
    assert_same(fitted.transform(x), fitted.estimator_.transform(x))
    joined.set_params(estimator__cost=None)
    assert joined.fit(rows, side).estimator_.map_.geometry.quadratic
