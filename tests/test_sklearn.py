"""At home in scikit-learn: its checks of estimators, pipelines, metadata, frames, and model selection."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

import brenier.conjugates.starts
import brenier.maps.transport_map
from asserts import assert_at_most, assert_close
from brenier import BrenierDensity, BrenierMap, InputError, JoinedMap, Training
from brenier.conjugates import ConjugatePoints
from brenier.data.checks import as_points
from brenier.solvers import Status

TINY: dict[str, Any] = {"max_steps": 8, "training": Training(hidden=[8], batch_size=16), "refit": False}
QUICK: dict[str, Any] = {"max_steps": 128, "training": Training(hidden=[16]), "refit": False, "random_state": 0}
POOLED = TINY | {"scale": "none", "training": Training(hidden=[8], batch_size=16, pool_size=64)}

FEW = pytest.mark.filterwarnings(
    "ignore:too few samples:brenier.ConvergenceWarning", "ignore::brenier.DataWarning", "ignore:training diverged"
)
"""The samples of the checks are small and odd, and we say so."""

LABELS = "the check passes labels as `y`, where `fit(X, Y)` takes a second sample"
EXPECTED = dict.fromkeys(
    [
        "check_dict_unchanged",
        "check_dont_overwrite_parameters",
        "check_dtype_object",
        "check_estimators_dtypes",
        "check_estimators_fit_returns_self",
        "check_estimators_nan_inf",
        "check_estimators_overwrite_params",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_1feature",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_fit_check_is_fitted",
        "check_fit_idempotent",
        "check_fit_score_takes_y",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_pipeline_consistency",
        "check_positive_only_tag_during_fit",
        "check_readonly_memmap_input",
        "check_transformer_data_not_an_array",
        "check_transformer_general",
        "check_transformer_preserve_dtypes",
    ],
    LABELS,
)
"""Of the map as it is; all of them hold where the second sample is one, as in `Shifted`."""


class Shifted(BrenierMap):
    """A map from a sample to a copy of it that is pulled apart, so that the checks for one sample apply."""

    def fit(self, X: Any, y: Any = None) -> "Shifted":
        values = as_points(X, "X").values
        return super().fit(X, values + 2.0 * np.sign(values - values.mean(axis=0)))

    def score(self, X: Any, y: Any = None) -> float:
        return super().score(X, X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required, tags.target_tags.single_output = False, True
        return tags


ONE_SAMPLE = [Shifted(**POOLED), BrenierDensity(**TINY)]


def expected(estimator: Any) -> dict[str, str]:
    return EXPECTED if type(estimator) is BrenierMap else {}


@FEW
@parametrize_with_checks([*ONE_SAMPLE, BrenierMap(**POOLED)], expected_failed_checks=expected, xfail_strict=True)
def test_checks_of_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


@FEW
@pytest.mark.parametrize("estimator", ONE_SAMPLE, ids=["map", "density"])
@pytest.mark.parametrize("name", ["fit_idempotent", "methods_sample_order_invariance", "methods_subset_invariance"])
def test_checks_of_trained_networks(estimator: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples of the checks are too small for a network; here one is trained, and kept whatever it is worth."""
    kept = []
    monkeypatch.setattr(brenier.estimators.sides, "FEWEST_HELD_OUT", 1)
    better = (1.0, 0.0)
    monkeypatch.setattr(brenier.training.holdout.HoldoutValue, "gain_over", lambda *_: better)
    monkeypatch.setattr(brenier.training.objective.Losses, "gain_over", lambda *_: better)
    keep = type(estimator)._keep
    monkeypatch.setattr(type(estimator), "_keep", lambda own, *rest: keep(own, *rest) or kept.append(own.baseline_))
    estimator = clone(estimator).set_params(max_steps=128)
    getattr(estimator_checks, f"check_{name}")(type(estimator).__name__, estimator)
    assert kept
    assert not any(kept)


class TestArguments:
    def test_tags_say_that_a_second_sample_is_needed(self) -> None:
        tags = get_tags(BrenierMap())
        assert tags.target_tags.required
        assert not tags.target_tags.one_d_labels
        assert not tags.input_tags.sparse
        assert tags.estimator_type is None
        assert not get_tags(BrenierDensity()).target_tags.required
        assert get_tags(BrenierDensity()).estimator_type == "density_estimator"

    def test_no_second_sample_and_labels_in_its_place(self) -> None:
        x = np.zeros((5, 2))
        with pytest.raises(InputError, match=r"`Y` is None.*`fit\(X, Y\)`"):
            BrenierMap().fit(x, None)
        with pytest.raises(InputError, match="`Y` is a second sample; labels have no place there"):
            BrenierMap().fit(x + np.arange(5)[:, None], np.arange(5))

    def test_columns_that_differ_are_said_in_both_vocabularies(self, fitted: BrenierMap) -> None:
        with pytest.raises(InputError, match=r"must have 2 columns.*X has 3 features, but BrenierMap is expecting 2"):
            fitted.transform(np.zeros((4, 3)))

    def test_densities_know_the_names_of_their_columns(self) -> None:
        frame = pd.DataFrame(samples()[1], columns=["a", "b"])
        density = BrenierDensity(**QUICK).fit(frame)
        assert list(density.feature_names_in_) == ["a", "b"]
        for method in (density.score_samples, density.score):
            with pytest.raises(InputError, match=r"columns of the fit, \['a', 'b'\]"):
                method(frame[["b", "a"]])


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Two samples of different sizes, between which no affine map is good."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 2)), rng.normal(size=(900, 2))
    return x, y + 2.0 * np.sign(y)


def joined() -> tuple[np.ndarray, np.ndarray]:
    """Both in one array, in mixed order, and the side of each row."""
    x, y = samples()
    order = np.random.default_rng(1).permutation(len(x) + len(y))
    return np.vstack([x, y])[order], np.repeat([0, 1], [len(x), len(y)])[order]


@pytest.fixture(scope="module")
def fitted() -> BrenierMap:
    return BrenierMap(**QUICK).fit(*samples())


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


class TestPipeline:
    def test_steps_before_a_map_see_the_source_alone(self) -> None:
        """What scikit-learn does, and the page says: the target arrives as it is."""
        x, y = samples()
        x = 5.0 * x
        pipeline = make_pipeline(StandardScaler(), BrenierMap(**QUICK)).fit(x, y)
        alone = BrenierMap(**QUICK).fit(StandardScaler().fit_transform(x), y)
        np.testing.assert_array_equal(pipeline[-1].transform(x), alone.transform(x))

    def test_joined_samples_are_preprocessed_alike(self) -> None:
        x, (both, side) = samples()[0], joined()
        pipeline = make_pipeline(StandardScaler(), JoinedMap(BrenierMap(**QUICK))).fit(both, side)
        mean, deviation = both.mean(axis=0), both.std(axis=0)
        own = pipeline[-1].estimator_
        by_hand = BrenierMap(**QUICK).fit(*((both[side == k] - mean) / deviation for k in (0, 1)))
        np.testing.assert_array_equal(own.transform(x), by_hand.transform(x))
        assert pipeline.score(both, side) == by_hand.score(*((both[side == k] - mean) / deviation for k in (0, 1)))
        images = pipeline[0].inverse_transform(pipeline.transform(x))
        assert_close(images, mean + deviation * by_hand.transform((x - mean) / deviation), rtol=1e-10)
        assert_close(pipeline.inverse_transform(pipeline.transform(x)), x, atol=1e-3)

    def test_a_fitted_map_before_a_classifier(self, fitted: BrenierMap) -> None:
        x, _ = samples()
        labels = (x[:, 0] > 0.3).astype(int)
        pipeline = make_pipeline(FrozenEstimator(fitted), StandardScaler(), LogisticRegression()).fit(x, labels)
        assert pipeline[0].estimator is fitted
        moved = StandardScaler().fit_transform(fitted.transform(x))
        np.testing.assert_array_equal(pipeline.predict(x), LogisticRegression().fit(moved, labels).predict(moved))
        # The other direction: new points go to where a finished classifier is at home.
        classifier = LogisticRegression().fit(samples()[1], samples()[1][:, 0] > 0)
        served = make_pipeline(FrozenEstimator(fitted), FrozenEstimator(classifier))
        np.testing.assert_array_equal(served.predict(x), classifier.predict(fitted.transform(x)))

    def test_weights_are_routed_to_the_map(self, routing) -> None:
        x, y = samples()
        weights = np.random.default_rng(2).uniform(0.5, 1.5, len(x))
        map_ = BrenierMap(**QUICK).set_fit_request(x_weight=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("map", map_)]).fit(x, y, x_weight=weights)
        by_hand = BrenierMap(**QUICK).fit(StandardScaler().fit_transform(x), y, x_weight=weights)
        np.testing.assert_array_equal(pipeline[-1].transform(x), by_hand.transform(x))

    def test_conditions_are_routed_to_a_fitted_map(self, routing) -> None:
        x, y = samples()
        kinds = [np.arange(len(side)) % 2 for side in (x, y)]
        y = y + 3.0 * kinds[1][:, None]
        ot = BrenierMap(**QUICK).fit(x, y, x_condition=kinds[0], y_condition=kinds[1])
        map_ = FrozenEstimator(ot.set_transform_request(condition=True))
        pipeline = make_pipeline(map_, StandardScaler(), LogisticRegression())
        labels = x[:, 0] > 0
        pipeline.fit(x, labels, condition=kinds[0])
        moved = StandardScaler().fit_transform(ot.transform(x, condition=kinds[0]))
        by_hand = LogisticRegression().fit(moved, labels)
        assert pipeline.score(x, labels, condition=kinds[0]) == by_hand.score(moved, labels)

    @pytest.mark.parametrize(("kind", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
    def test_frames_come_out_as_asked(self, kind: str, frame: Any) -> None:
        both, side = joined()
        named = pd.DataFrame(both, columns=["a", "b"])
        pipeline = make_pipeline(StandardScaler(), JoinedMap(BrenierMap(**QUICK)))
        pipeline.set_output(transform=kind)
        moved = pipeline.fit(named, side).transform(named)
        assert isinstance(moved, frame)
        assert list(moved.columns) == list(pipeline.get_feature_names_out()) == ["a", "b"]
        assert list(pipeline.feature_names_in_) == list(pipeline[-1].feature_names_in_) == ["a", "b"]
        assert pipeline[-1].n_features_in_ == 2
        plain = pipeline.set_output(transform="default").transform(named)
        np.testing.assert_array_equal(np.asarray(moved), np.asarray(plain))


class TestJoined:
    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (None, "`y` is None"),
            (np.zeros(7), r"one entry for each of the 8 rows of `X`; got shape \(7,\)"),
            (np.arange(8) % 3, r"0 for rows of the source and 1 for rows of the target; got \[2\]"),
            (["source"] * 4 + ["target"] * 4, "got \\['source', 'target'\\]"),
            (np.zeros(8), "no rows of the target. .*StratifiedKFold"),
            (np.ones(8), "no rows of the source"),
        ],
    )
    def test_what_is_no_side(self, y: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            JoinedMap().fit(np.random.default_rng(0).normal(size=(8, 2)), y)

    def test_it_is_the_map_of_the_two_samples(self, fitted: BrenierMap) -> None:
        (x, y), (both, side) = samples(), joined()
        again = JoinedMap(BrenierMap(**QUICK)).fit(both, side)
        own = BrenierMap(**QUICK).fit(both[side == 0], both[side == 1])
        np.testing.assert_array_equal(again.transform(x), own.transform(x))
        np.testing.assert_array_equal(again.inverse_transform(y), own.inverse_transform(y))
        assert again.score(both, side.astype(bool)) == own.score(both[side == 0], both[side == 1])
        copy = pickle.loads(pickle.dumps(again))
        np.testing.assert_array_equal(copy.transform(x), own.transform(x))
        assert not hasattr(clone(again), "estimator_")
        assert again.get_params()["estimator__training__hidden"] == [16]


class TestModelSelection:
    def test_every_row_is_tested_once_in_a_fold_with_its_share_of_either_sample(self) -> None:
        both, side = joined()
        tested = np.zeros(len(both), int)
        for _, test in StratifiedKFold(5, shuffle=True, random_state=0).split(both, side):
            tested[test] += 1
            assert np.bincount(side[test]).tolist() == [120, 180]
        assert (tested == 1).all()

    def test_a_search_finds_the_better_setting_and_its_scores_are_those_by_hand(self) -> None:
        both, side = joined()
        folds = StratifiedKFold(2, shuffle=True, random_state=0)
        grid = {"estimator__training__learning_rate": [1e-6, 2e-2]}
        search = GridSearchCV(JoinedMap(BrenierMap(**QUICK | {"max_steps": 256})), grid, cv=folds).fit(both, side)
        assert search.best_params_ == {"estimator__training__learning_rate": 2e-2}
        assert search.best_estimator_.estimator_.training.learning_rate == 2e-2
        assert search.best_score_ > 1.02 * search.cv_results_["mean_test_score"].min()
        for number, (train, test) in enumerate(folds.split(both, side)):
            for place, rate in enumerate(grid["estimator__training__learning_rate"]):
                ot = BrenierMap(**QUICK).set_params(max_steps=256, training__learning_rate=rate)
                ot.fit(*(both[train][side[train] == k] for k in (0, 1)))
                by_hand = ot.score(*(both[test][side[test] == k] for k in (0, 1)))
                assert search.cv_results_[f"split{number}_test_score"][place] == by_hand
        # The search is the best map, refitted on all rows.
        x = samples()[0]
        np.testing.assert_array_equal(search.transform(x), search.best_estimator_.estimator_.transform(x))

    def test_scores_are_in_the_units_of_the_data_whatever_the_coordinates(self, fitted: BrenierMap) -> None:
        """Scaled by 3, the dual value grows by 9: the same map, so scores can be compared between folds."""
        x, y = samples()
        scaled = BrenierMap(**QUICK).fit(3.0 * x, 3.0 * y)
        assert_close(scaled.score(3.0 * x, 3.0 * y), 9.0 * fitted.score(x, y), rtol=0.01)

    def test_conditions_and_weights_are_split_with_the_rows(self, routing) -> None:
        both, side = joined()
        rng = np.random.default_rng(3)
        given = {"condition": rng.integers(0, 2, len(both)), "sample_weight": rng.uniform(0.5, 1.5, len(both))}
        request = {"condition": True, "sample_weight": True}
        estimator = JoinedMap(BrenierMap(**QUICK)).set_fit_request(**request).set_score_request(**request)
        folds = StratifiedKFold(2, shuffle=True, random_state=0)
        scores = cross_val_score(estimator, both, side, cv=folds, params=given)

        def parts(rows: np.ndarray) -> tuple[list, dict]:
            of = [rows[side[rows] == k] for k in (0, 1)]
            names = {"condition": "condition", "sample_weight": "weight"}
            return [both[own] for own in of], {
                f"{letter}_{names[name]}": value[own]
                for name, value in given.items()
                for letter, own in zip("xy", of, strict=True)
            }

        for score, (train, test) in zip(scores, folds.split(both, side), strict=True):
            points, more = parts(train)
            ot = BrenierMap(**QUICK).fit(*points, **more)
            points, more = parts(test)
            assert score == ot.score(*points, **more)

    def test_a_search_over_densities(self) -> None:
        y = samples()[1]
        grid = {"training__learning_rate": [1e-6, 1e-2]}
        search = GridSearchCV(BrenierDensity(**QUICK), grid, cv=2).fit(y)
        assert search.best_params_ == {"training__learning_rate": 1e-2}
        by_hand = (
            BrenierDensity(**QUICK).set_params(training__learning_rate=1e-2).fit(y[:450]).score_samples(y[450:]).mean()
        )
        assert_close(search.cv_results_["split1_test_score"][1], by_hand, rtol=0.2)
        assert_close(search.score(y), search.best_estimator_.score_samples(y).mean(), rtol=1e-12)


class TestScore:
    def test_points_that_are_not_solved_do_not_flatter(
        self, fitted: BrenierMap, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        x, y = samples()
        assert not fitted.baseline_
        exact = fitted.map_.dual(x, y)
        assert exact.unconverged == 0.0
        assert 0.0 <= exact.gap < 1e-4 * exact.value

        def unsolved(u: Any, points: np.ndarray, **_: Any) -> ConjugatePoints:
            missed = np.linalg.norm(np.asarray(u.gradient(points)) - points, axis=1)
            code = np.full(len(points), Status.max_steps_reached.code, np.int32)
            return ConjugatePoints(points, missed, code, np.zeros(len(points), np.int32))

        monkeypatch.setattr(brenier.conjugates.starts, "conjugate_points", unsolved)
        guessed = fitted.map_.dual(x, y)
        assert guessed.unconverged == 1.0
        assert guessed.value > 1.01 * exact.value
        assert_at_most(guessed.value - guessed.gap, exact.value, "charged value")
        assert fitted.score(x, y) == guessed.value - guessed.gap

    def test_conditional_maps_charge_in_the_same_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x, y = samples()
        kinds = {"x_condition": np.arange(len(x)) % 2, "y_condition": np.arange(len(y)) % 2}
        ot = BrenierMap(**QUICK).fit(x, y, **kinds)
        exact = ot.score(x, y, **kinds)
        module = brenier.maps.transport_map
        evaluate = module.conjugate_values

        def worse(*arguments: Any) -> tuple[Any, Any]:
            values, residuals = evaluate(*arguments)
            return values, residuals + 0.1

        monkeypatch.setattr(module, "conjugate_values", worse)
        lost = ot.map_.geometry.unit**2 * 0.1**2 / (2 * float(ot.map_.potential.convexity_floor()))
        assert_close(exact - ot.score(x, y, **kinds), lost, rtol=1e-2)
