"""AnnData in and out: which part is read, what is written beside it, and that nothing else changes."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from brenier import BrenierDensity, BrenierMap, InputError, TransportMap
from brenier.data import as_points, memory
from brenier.data.cells import Place, densify, read_cells
from brenier.estimators.anndata import provenance, transport
from networks import perturb

GENES = ["Sox2", "Gata1", "Cd4"]


def cells(seed: int, shift: float = 0.0, count: int = 80) -> ad.AnnData:
    """Simulated counts, with everything beside them that may get lost."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(5.0 + shift, (count, 3)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(np.where(np.arange(count) % 2, "T", "B")),
            "age": np.linspace(20.0, 60.0, count),
            "weight": rng.integers(1, 4, count),
            "batch": pd.Categorical([None if row == 3 else "b1" for row in range(count)]),
        },
        index=[f"cell{seed}-{row}" for row in rng.permutation(count)],
    )
    found = ad.AnnData(sp.csr_matrix(counts), obs, pd.DataFrame(index=GENES))
    found.layers["logs"] = np.log1p(counts) + 0.01 * rng.normal(size=counts.shape)
    found.obsm["X_pca"] = rng.normal(size=(count, 2)) * (1.0 + shift)
    found.uns["colours"] = ["red", "blue"]
    return found


CONTROL, TREATED = cells(0), cells(1, 2.0)


def fitted(
    control: Any = CONTROL, treated: Any = TREATED, *, conditions: dict | None = None, **options: Any
) -> BrenierMap:
    """A Gaussian map, which needs no training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BrenierMap(random_state=3, holdout=0.01, refit=False, **options).fit(
            control, treated, **(conditions or {})
        )


PCA, LOGS = CONTROL.obsm["X_pca"], CONTROL.layers["logs"]
KINDS = {"x_condition": "cell_type", "y_condition": "cell_type"}


def assert_kept(moved: ad.AnnData, given: ad.AnnData, *added: str) -> None:
    """All that was there is there, as it was and in its order; and nothing but `added` is new."""
    pd.testing.assert_frame_equal(moved.obs, given.obs)
    pd.testing.assert_frame_equal(moved.var, given.var)
    np.testing.assert_array_equal(moved.X.toarray(), given.X.toarray())
    for group in ("obsm", "layers"):
        own, new = getattr(given, group), getattr(moved, group)
        assert set(new) - set(own) == {name.partition("/")[2] for name in added if name.startswith(group)}
        for key in own:
            np.testing.assert_array_equal(new[key], own[key])
    assert moved.uns["colours"] == given.uns["colours"]


class TestWhereThePointsAre:
    def test_in_obsm(self) -> None:
        ot = fitted(obsm="X_pca")
        raw = fitted(PCA, TREATED.obsm["X_pca"])
        moved = ot.transform(CONTROL)
        assert isinstance(moved, ad.AnnData)
        np.testing.assert_array_equal(moved.obsm["X_pca_transported"], raw.transform(PCA))
        assert_kept(moved, CONTROL, "obsm/X_pca_transported")
        assert not hasattr(ot, "feature_names_in_")
        assert "X_pca_transported" not in CONTROL.obsm
        assert "brenier" not in CONTROL.uns

    def test_in_a_layer(self) -> None:
        ot = fitted(layer="logs")
        moved = ot.transform(CONTROL)
        np.testing.assert_array_equal(moved.layers["transported"], fitted(LOGS, TREATED.layers["logs"]).transform(LOGS))
        assert_kept(moved, CONTROL, "layers/transported")
        assert list(ot.feature_names_in_) == GENES
        assert ot.map_.columns == tuple(GENES)

    def test_in_x(self) -> None:
        counts = [own.X.toarray() for own in (CONTROL, TREATED)]
        moved = fitted().transform(CONTROL)
        np.testing.assert_array_equal(moved.layers["transported"], fitted(*counts).transform(counts[0]))
        assert_kept(moved, CONTROL, "layers/transported")

    def test_in_a_frame_of_obsm(self) -> None:
        control, treated = CONTROL.copy(), TREATED.copy()
        for own in (control, treated):
            own.obsm["X_pca"] = pd.DataFrame(own.obsm["X_pca"], own.obs_names, ["PC1", "PC2"])
        ot = fitted(control, treated, obsm="X_pca")
        assert list(ot.feature_names_in_) == ["PC1", "PC2"]
        moved = ot.transform(control).obsm["X_pca_transported"]
        assert list(moved.columns) == ["PC1", "PC2"]
        pd.testing.assert_index_equal(moved.index, control.obs_names)
        np.testing.assert_array_equal(moved, fitted(obsm="X_pca").transform(PCA))

    def test_beside_arrays(self) -> None:
        ot = fitted(CONTROL, TREATED.obsm["X_pca"], obsm="X_pca")
        np.testing.assert_array_equal(ot.transform(PCA), ot.transform(CONTROL).obsm["X_pca_transported"])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"obsm": "X_umap"}, r"`X` has no obsm 'X_umap'; it has obsm X_pca; layers logs; X. Choose one of these"),
            ({"layer": "counts"}, r"`X` has no layers 'counts'; it has obsm X_pca; layers logs; X."),
            ({"layer": "logs", "obsm": "X_pca"}, r"`layer` \('logs'\) and `obsm` \('X_pca'\) are both given"),
        ],
    )
    def test_that_are_not_there(self, options: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            BrenierMap(**options).fit(CONTROL, TREATED)

    def test_without_x(self) -> None:
        bare = ad.AnnData(obs=CONTROL.obs, obsm={"X_pca": PCA})
        np.testing.assert_array_equal(
            fitted(bare, TREATED, obsm="X_pca").transform(PCA), fitted(obsm="X_pca").transform(PCA)
        )
        with pytest.raises(InputError, match=r"`X` has no `.X`; it has obsm X_pca. Choose"):
            BrenierMap().fit(bare, bare)

    def test_without_anndata(self) -> None:
        with pytest.raises(
            InputError, match=r"`obsm` \('X_pca'\) is a part of AnnData, .* of ndarray and ndarray. Leave"
        ):
            BrenierMap(obsm="X_pca").fit(PCA, PCA)
        with pytest.raises(InputError, match=r"`layer` \('logs'\) is a part of AnnData, .* of ndarray. Leave"):
            BrenierDensity(layer="logs").fit(PCA)

    def test_are_not_asked_of_maps(self) -> None:
        with pytest.raises(
            InputError, match=r"`X` is a AnnData.*`X.obsm\['X_pca'\]`; `brenier.estimators.anndata.transport`"
        ):
            fitted(obsm="X_pca").map_.forward(CONTROL)


class TestNames:
    def test_of_genes_in_another_order_are_refused(self) -> None:
        ot = fitted(layer="logs")
        message = (
            r"`X` must have the columns of the fit, \['Sox2', 'Gata1', 'Cd4'\], in that order; .* in another order"
        )
        with pytest.raises(InputError, match=message):
            ot.transform(CONTROL[:, ["Gata1", "Sox2", "Cd4"]])
        with pytest.raises(InputError, match="it lacks `Cd4`"):
            ot.inverse_transform(CONTROL[:, :2])
        with pytest.raises(InputError, match=r"same columns in another order"):
            fitted(CONTROL, TREATED[:, ["Gata1", "Sox2", "Cd4"]], layer="logs")


class TestConditionsAndWeights:
    def test_are_columns_of_obs(self) -> None:
        ot = fitted(obsm="X_pca", conditions=KINDS | {"x_weight": "weight"})
        x, y = (own.obs[["cell_type"]] for own in (CONTROL, TREATED))
        raw = fitted(
            PCA,
            TREATED.obsm["X_pca"],
            conditions={"x_condition": x, "y_condition": y, "x_weight": CONTROL.obs["weight"]},
        )
        expected = raw.transform(PCA, condition=x)
        for moved in (
            ot.transform(CONTROL),
            ot.transform(CONTROL, condition="cell_type"),
            ot.transform(CONTROL, condition=["cell_type"]),
            ot.transform(CONTROL, condition=CONTROL.obs[["cell_type"]]),
            ot.transform(CONTROL, condition=CONTROL.obs["cell_type"].tolist()),
        ):
            np.testing.assert_array_equal(moved.obsm["X_pca_transported"], expected)
        all_t = ot.transform(CONTROL, condition="T").obsm["X_pca_transported"]
        np.testing.assert_array_equal(all_t, raw.transform(PCA, condition="T"))
        assert not np.array_equal(all_t, expected)

    def test_several(self) -> None:
        names = ["cell_type", "age"]
        ot = fitted(obsm="X_pca", conditions={"x_condition": names, "y_condition": names})
        assert [own.name for own in ot.map_.conditions.variables] == names
        x = CONTROL.obs[names]
        np.testing.assert_array_equal(ot.transform(CONTROL).obsm["X_pca_transported"], ot.transform(PCA, condition=x))

    def test_in_what_is_measured(self) -> None:
        plain, ot = fitted(obsm="X_pca"), fitted(obsm="X_pca", conditions=KINDS)
        y = TREATED.obsm["X_pca"]
        assert plain.score(CONTROL, TREATED, x_weight="weight") == plain.score(PCA, y, x_weight=CONTROL.obs["weight"])
        assert plain.distance(CONTROL, TREATED, empirical=False).w2 == plain.distance(PCA, y, empirical=False).w2
        x_kind, y_kind = (own.obs["cell_type"] for own in (CONTROL, TREATED))
        assert ot.score(CONTROL, TREATED) == ot.score(PCA, y, x_condition=x_kind, y_condition=y_kind)
        found = ot.distance(CONTROL, TREATED, x_condition="cell_type", empirical=False)
        assert found.w2 == ot.distance(PCA, y, x_condition=x_kind, y_condition=y_kind, empirical=False).w2
        np.testing.assert_array_equal(plain.log_density(TREATED, "normal"), plain.log_density(y, "normal"))
        status = plain.inverse_transform(TREATED, return_status=True)
        np.testing.assert_array_equal(status.points, plain.inverse_transform(y))

    def test_a_second_fit_forgets_those_of_the_first(self) -> None:
        ot = fitted(obsm="X_pca", conditions=KINDS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert isinstance(ot.fit(CONTROL, TREATED).map_, TransportMap)

    def test_that_are_missing(self) -> None:
        with pytest.raises(
            InputError, match=r"`x_condition` names 'celltype', which `X.obs` lacks; it has 'cell_type', 'age'"
        ):
            BrenierMap(obsm="X_pca").fit(CONTROL, TREATED, x_condition="celltype", y_condition="cell_type")
        with pytest.raises(InputError, match=r"`y_weight` names 'w', which `Y.obs` lacks"):
            BrenierMap(obsm="X_pca").fit(CONTROL, TREATED, y_weight="w")
        with pytest.raises(InputError, match=r"`x_condition`, column `batch` has 1 missing entries, in rows 3"):
            BrenierMap(obsm="X_pca").fit(CONTROL, TREATED, x_condition="batch", y_condition="batch")
        ot = fitted(obsm="X_pca", conditions=KINDS)
        bare = ad.AnnData(obs=CONTROL.obs[["age"]], obsm={"X_pca": PCA})
        with pytest.raises(InputError, match=r"`condition` names 'cell_type', which `adata.obs` lacks; it has 'age'"):
            ot.transform(bare)
        with pytest.raises(InputError, match="'celltype'"):
            ot.transform(CONTROL, condition="celltype")
        with pytest.raises(InputError, match="`condition` was given, but the fit had none"):
            fitted(obsm="X_pca").transform(CONTROL, condition="T")


class TestWhatComesBack:
    def test_of_inverses_and_ways(self) -> None:
        ot = fitted(obsm="X_pca")
        back = ot.inverse_transform(TREATED)
        y = TREATED.obsm["X_pca"]
        np.testing.assert_array_equal(back.obsm["X_pca_transported_back"], ot.inverse_transform(y))
        assert back.uns["brenier"]["X_pca_transported_back"]["direction"] == "inverse"
        for t in (0.25, 1.0):
            half = ot.interpolate(CONTROL, t)
            np.testing.assert_array_equal(half.obsm["X_pca_interpolated"], ot.interpolate(PCA, t))
            assert half.uns["brenier"]["X_pca_interpolated"]["t"] == t

    def test_views_stay_views(self) -> None:
        ot = fitted(obsm="X_pca")
        view = CONTROL[10:40]
        moved = ot.transform(view)
        assert view.is_view
        assert not moved.is_view
        np.testing.assert_array_equal(moved.obsm["X_pca_transported"], ot.transform(PCA[10:40]))
        with pytest.raises(InputError, match=r"`adata` is a view .* Pass `adata.copy\(\)`"):
            transport(ot, view)
        assert view.is_view

    def test_set_output_decides(self) -> None:
        ot = fitted(layer="logs").set_output(transform="pandas")
        moved = ot.transform(CONTROL)
        assert isinstance(moved, pd.DataFrame)
        assert list(moved.columns) == GENES
        np.testing.assert_array_equal(moved, ot.set_output(transform="default").transform(LOGS))

    def test_a_record_of_what_was_done(self, tmp_path: Path) -> None:
        ot = fitted(obsm="X_pca")
        moved = ot.transform(CONTROL)
        record = moved.uns["brenier"]["X_pca_transported"]
        assert {"source": "obsm/X_pca", "direction": "forward", "t": 1.0, "random_state": 3}.items() <= record.items()
        assert record["version"] == ot.map_.info["brenier"]
        assert json.loads(record["fit"])["settings"] == json.loads(json.dumps(ot.map_.info["settings"]))
        assert record["date"].endswith("+00:00")
        ot.map_.save(tmp_path / "m.brenier")
        loaded = CONTROL.copy()
        transport(TransportMap.load(tmp_path / "m.brenier"), loaded)  # which knows where to look
        np.testing.assert_array_equal(loaded.obsm["X_pca_transported"], moved.obsm["X_pca_transported"])
        assert loaded.uns["brenier"]["X_pca_transported"]["map"] == record["map"]
        bent = replace(ot.map_, potential=perturb(ot.map_.potential, 0))
        assert provenance(bent, Place(), "forward", 1.0)["map"] != record["map"]
        other = fitted(obsm="X_pca", trim=0.05).transform(CONTROL)
        assert other.uns["brenier"]["X_pca_transported"]["map"] != record["map"]

    @pytest.mark.parametrize("conditions", [{}, KINDS])
    @pytest.mark.parametrize("options", [{"obsm": "X_pca"}, {"layer": "logs"}, {}])
    def test_files_keep_it(self, options: dict, conditions: dict, tmp_path: Path) -> None:
        ot = fitted(conditions=conditions, **options)
        moved = ot.interpolate(ot.inverse_transform(ot.transform(CONTROL)), 0.5)
        moved.write_h5ad(tmp_path / "moved.h5ad")
        read = ad.read_h5ad(tmp_path / "moved.h5ad")
        assert read.uns["brenier"] == moved.uns["brenier"]
        assert len(read.uns["brenier"]) == 3
        for group in ("obsm", "layers"):
            assert set(getattr(read, group)) == set(getattr(moved, group))
            for key, values in getattr(moved, group).items():
                np.testing.assert_array_equal(getattr(read, group)[key], values)
        pd.testing.assert_frame_equal(read.obs, moved.obs)


class TestInPlace:
    def test_under_a_name_of_ones_own(self) -> None:
        ot, own = fitted(obsm="X_pca"), CONTROL.copy()
        assert transport(ot, own, key_added="X_treated") is None
        transport(ot, own, obsm="X_treated", inverse=True, key_added="X_back")
        assert_kept(own, CONTROL, "obsm/X_treated", "obsm/X_back")
        np.testing.assert_allclose(own.obsm["X_back"], PCA, atol=1e-4)
        assert set(own.uns["brenier"]) == {"X_treated", "X_back"}
        assert own.uns["brenier"]["X_back"]["source"] == "obsm/X_treated"

    @pytest.mark.parametrize(
        ("adata", "options", "message"),
        [
            (PCA, {}, "`adata` must be an AnnData; got a ndarray. Tables go to `transform`"),
            (CONTROL, {"inverse": True, "t": 0.5}, r"`t` \(0.5\) is a share of the way from the source"),
            (CONTROL, {"obsm": "X_umap"}, "`adata` has no obsm 'X_umap'"),
            (CONTROL, {"layer": "logs"}, "must have 2 columns"),
        ],
    )
    def test_refuses(self, adata: Any, options: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            transport(fitted(obsm="X_pca"), adata, **options)


class TestDensities:
    def test_are_fitted_and_evaluated(self) -> None:
        own = BrenierDensity(max_steps=64, holdout=0.3, obsm="X_pca", random_state=0).fit(
            CONTROL, sample_weight="weight"
        )
        raw = BrenierDensity(max_steps=64, holdout=0.3, random_state=0).fit(PCA, sample_weight=CONTROL.obs["weight"])
        np.testing.assert_array_equal(own.score_samples(CONTROL), raw.score_samples(PCA))
        np.testing.assert_array_equal(own.gradient(CONTROL), raw.gradient(PCA))
        assert own.score(CONTROL, sample_weight="weight") == raw.score(PCA, sample_weight=CONTROL.obs["weight"])
        assert own.map_.info["anndata"] == "obsm/X_pca"

    def test_refuse_genes_in_another_order(self) -> None:
        own = BrenierDensity(max_steps=64, holdout=0.3, layer="logs").fit(CONTROL)
        for judge in (own.score_samples, own.score, own.gradient):
            with pytest.raises(InputError, match="in another order"):
                judge(CONTROL[:, ["Gata1", "Sox2", "Cd4"]])


class Spied:
    """A matrix that says how much of it is read at a time."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.shape, self.format = inner, inner.shape, getattr(inner, "format", "")
        self.pieces: list[tuple[int, ...]] = []

    def __getitem__(self, place: Any) -> Any:
        piece = self.inner[place]
        self.pieces.append(piece.shape)
        return piece


class TestMemory:
    @pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
    def test_is_filled_piece_by_piece(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "_CHUNK_BYTES", 8 * 3 * 10)
        whole = CONTROL.X.toarray()
        spied = Spied(whole if kind == "dense" else sp.csr_matrix(whole).asformat(kind))
        np.testing.assert_array_equal(densify(spied, "X"), whole)
        assert max(rows * columns for rows, columns in spied.pieces) <= (80 if kind == "csc" else 30)
        assert len(spied.pieces) == (3 if kind == "csc" else 8)

    @pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
    def test_of_files_that_stay_open(self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "_CHUNK_BYTES", 8 * 3 * 10)
        own = CONTROL.copy()
        own.X = own.X.toarray() if kind == "dense" else own.X.asformat(kind)
        own.write_h5ad(tmp_path / "own.h5ad")
        backed = ad.read_h5ad(tmp_path / "own.h5ad", backed="r")
        values = as_points(read_cells(backed, "X", Place()), "X").values
        np.testing.assert_array_equal(values, CONTROL.X.toarray())
        moved = fitted().transform(backed)
        np.testing.assert_array_equal(moved.layers["transported"], fitted().transform(values))
        assert backed.isbacked
        backed.file.close()

    def test_too_large_to_be_dense(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "MOST_BYTES", 8 * 3 * 79)
        message = (
            r"`X`, `X` has 80 rows and 3 columns, 1.88 KiB as a dense array .* at most 1.85 KiB is made. Fit principal"
        )
        with pytest.raises(InputError, match=message):
            BrenierMap().fit(CONTROL, TREATED)
        assert fitted(obsm="X_pca").transform(CONTROL).obsm["X_pca_transported"].shape == (80, 2)
