"""The scikit-learn face: conventions, bad input, and answers that are known."""

import pickle
import warnings

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brenier import BrenierMap, ConvergenceWarning, DataWarning, InputError, Training, TransportMap
from brenier.datasets import GaussianPair
from brenier.metrics import sliced_w2, unexplained_variance

STEPS = 256


def clouds(n: int = 1500, m: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian and a curved cloud that no affine map reaches."""
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    return x, np.stack([z[:, 0] + 0.8 * np.abs(z[:, 0]) * np.sign(z[:, 0]), np.exp(0.8 * z[:, 1])], axis=1)


@pytest.fixture(scope="module")
def fitted() -> BrenierMap:
    return BrenierMap(max_steps=STEPS, random_state=0).fit(*clouds())


def test_learns_a_product_of_monotone_maps(fitted: BrenierMap) -> None:
    """The target is a coordinatewise increasing image of the source, which is therefore the optimal map."""
    x = np.random.default_rng(8).normal(size=(2000, 2))
    exact = np.stack([x[:, 0] + 0.8 * np.abs(x[:, 0]) * np.sign(x[:, 0]), np.exp(0.8 * x[:, 1])], axis=1)
    linear = fitted.map_.geometry.leave_y(fitted.map_.geometry.enter_x(x))
    assert not fitted.baseline_
    assert unexplained_variance(fitted.transform(x), exact) < 0.35 * unexplained_variance(linear, exact)


def test_inverse_undoes_the_map(fitted: BrenierMap) -> None:
    x = np.random.default_rng(8).normal(size=(500, 2))
    back = fitted.inverse_transform(fitted.transform(x), return_status=True)
    assert back.converged.all()
    assert np.abs(back.points - x).max() < 1e-3


def test_gaussian_pair_has_the_closed_form_distance() -> None:
    pair = GaussianPair.random(3, seed=1)
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    ot = BrenierMap(max_steps=STEPS, random_state=0).fit(pair.sample_source, pair.sample_target)
    found = ot.distance(pair.sample_source(keys[0], 20000), pair.sample_target(keys[1], 20000))
    # The dual value is a mean over 20,000 points of each side: its standard error is below one percent here.
    assert found.w2 == pytest.approx(pair.w2, rel=0.03)
    x = pair.sample_source(keys[2], 2000)
    assert unexplained_variance(ot.transform(x), pair.transport(x)) < 0.02


def test_never_worse_than_the_gaussian_map_on_held_out_points(fitted: BrenierMap) -> None:
    kept = [row for row in fitted.history_ if row.best]
    assert kept[-1].gain > 2 * kept[-1].error


def test_no_network_beats_the_gaussian_map_on_noise() -> None:
    rng = np.random.default_rng(0)
    ot = BrenierMap(max_steps=STEPS, random_state=0).fit(rng.normal(size=(300, 4)), rng.normal(size=(300, 4)))
    assert ot.baseline_


def test_one_seed_one_result(fitted: BrenierMap) -> None:
    again = BrenierMap(max_steps=STEPS, random_state=0).fit(*clouds())
    x = clouds()[0]
    np.testing.assert_array_equal(fitted.transform(x), again.transform(x))
    np.testing.assert_array_equal(again.fit(*clouds()).transform(x), fitted.transform(x))
    other = BrenierMap(max_steps=STEPS, random_state=1).fit(*clouds())
    assert np.abs(other.transform(x) - fitted.transform(x)).max() > 0


def test_inputs_and_parameters_are_unchanged(fitted: BrenierMap) -> None:
    x, y = clouds()
    before = x.copy(), y.copy()
    estimator = BrenierMap(max_steps=1, training=Training(hidden=[8, 8]), random_state=0)
    parameters = estimator.get_params()
    estimator.fit(x, y)
    assert estimator.get_params() == parameters
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_clone_and_pickle(fitted: BrenierMap) -> None:
    x = clouds()[0]
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.transform(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(x), fitted.transform(x))


def test_saved_map_is_the_map(fitted: BrenierMap, tmp_path) -> None:
    fitted.map_.save(tmp_path / "map.brenier")
    loaded = TransportMap.load(tmp_path / "map.brenier")
    x = clouds()[0]
    np.testing.assert_array_equal(loaded.forward(x), fitted.transform(x))
    assert loaded.info["steps"] == fitted.n_iter_ == STEPS


def test_pipeline_and_frames() -> None:
    x, y = (pd.DataFrame(side, columns=["a", "b"]) for side in clouds(400, 400))
    ot = BrenierMap(max_steps=1, random_state=0).fit(x, y)
    assert list(ot.feature_names_in_) == ["a", "b"]
    assert list(ot.set_output(transform="pandas").transform(x).columns) == ["a", "b"]
    with pytest.raises(InputError, match=r"columns of the fit, \['a', 'b'\]"):
        ot.transform(x[["b", "a"]])
    pipeline = make_pipeline(StandardScaler(), BrenierMap(max_steps=1, random_state=0))
    assert pipeline.fit(x.to_numpy(), y.to_numpy()).transform(x.to_numpy()).shape == (400, 2)


def test_iterators_are_sources() -> None:
    x, y = clouds()

    def batches(side):
        rng = np.random.default_rng(0)
        while True:
            yield side[rng.integers(len(side), size=256)]

    ot = BrenierMap(max_steps=1, training=Training(pool_size=1024, batch_size=128), random_state=0).fit(
        batches(x), batches(y)
    )
    assert ot.n_iter_ == 1


def test_budget_in_seconds() -> None:
    ot = BrenierMap(max_seconds=1e-3, random_state=0).fit(*clouds())
    assert ot.n_iter_ <= 128
    assert ot.stop_ == "The budget was used."


def test_callback_ends_the_fit() -> None:
    rows = []

    def callback(row) -> bool:
        rows.append(row)
        return True

    ot = BrenierMap(max_steps=4096, random_state=0, callbacks=callback).fit(*clouds())
    assert len(rows) == 1
    assert ot.n_iter_ == rows[0].step < 4096
    assert ot.stop_ == "A callback asked for the end."


def test_interruption_keeps_the_best_map() -> None:
    def callback(row) -> bool:
        raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="Interrupted from the keyboard"):
        ot = BrenierMap(max_steps=4096, random_state=0, callbacks=callback).fit(*clouds())
    assert ot.history_[0].best
    assert not ot.baseline_


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_steps": 0}, "`max_steps` must be a positive number"),
        ({"max_seconds": float("nan")}, "`max_seconds` must be a positive number"),
        ({"training": Training(batch_size=-1)}, "`batch_size` must be a positive number"),
        ({"training": Training(pool_size=1000)}, "`pool_size` must be a power of two; got 1000"),
        ({"training": Training(hidden=[])}, "`hidden` must list the units"),
        ({"training": Training(convexity=1.0)}, "`convexity` must lie strictly between 0 and 1"),
        ({"holdout": 0.0}, "`holdout` must lie strictly between 0 and 1"),
        ({"training": Training(activation="relu")}, "`activation` must be one of"),
        ({"scale": "robust"}, "`scale` must be 'auto', 'none', 'pooled'"),
        ({"scale": [1.0, -1.0]}, "`scale` must be one positive number for each of the 2 columns"),
    ],
)
def test_bad_parameters(parameters: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BrenierMap(**parameters).fit(*clouds(50, 50))


def test_different_units_a_column_are_said_and_handled() -> None:
    x, y = clouds()
    with pytest.warns(DataWarning, match="standard deviations of the columns range from"):
        automatic = BrenierMap(max_steps=STEPS, random_state=0).fit(x * [1, 1000], y * [1, 1000])
    pooled = BrenierMap(scale="pooled", max_steps=STEPS, random_state=0).fit(x * [1, 1000], y * [1, 1000])
    plain = BrenierMap(scale="pooled", max_steps=STEPS, random_state=0).fit(x, y)
    images = pooled.transform(x * [1, 1000])
    np.testing.assert_array_equal(images, automatic.transform(x * [1, 1000]))
    # In pooled units the data are the same up to rounding, which training amplifies.
    distance = sliced_w2(images / [1, 1000], plain.transform(x))
    assert distance < 0.05


def test_other_units_on_one_side_work_and_warn() -> None:
    x, y = clouds()
    with pytest.warns(DataWarning, match="same units"):
        ot = BrenierMap(max_steps=STEPS, random_state=0).fit(x, 1e6 * y + 1e9)
    images = ot.transform(x)
    assert np.all(np.isfinite(images))
    assert np.abs(images.mean(axis=0) / 1e6 - (y.mean(axis=0) + 1e3)).max() < 0.2
    assert np.abs(ot.inverse_transform(images) - x).max() < 1e-3


def test_few_samples_give_the_gaussian_map_and_say_so() -> None:
    x, y = clouds(40, 40)
    with pytest.warns(ConvergenceWarning, match="too few samples"):
        ot = BrenierMap(random_state=0).fit(x, y)
    assert ot.baseline_
    assert ot.n_iter_ == 0


def test_fewer_samples_than_columns() -> None:
    rng = np.random.default_rng(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ot = BrenierMap(random_state=0).fit(rng.normal(size=(20, 30)), rng.normal(size=(20, 30)))
    assert {warning.category for warning in caught} == {DataWarning, ConvergenceWarning}
    assert np.all(np.isfinite(ot.transform(rng.normal(size=(5, 30)))))


def test_collinear_columns_work_and_warn() -> None:
    x, y = clouds()
    both = [np.column_stack([side, side.sum(axis=1)]) for side in (x, y)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ot = BrenierMap(max_steps=STEPS, random_state=0).fit(*both)
    assert any("linearly dependent" in str(warning.message) for warning in caught)
    # The direction without variance is left to the Gaussian map: training goes through.
    assert {warning.category for warning in caught} == {DataWarning}
    assert not ot.baseline_
    images = ot.transform(both[0])
    assert np.abs(images[:, 2] - images[:, :2].sum(axis=1)).max() < 1e-2
    # The third column adds nothing but weight, so the map must still bend as the target does.
    alone = BrenierMap(max_steps=STEPS, random_state=0).fit(x, y).transform(x)
    assert np.abs(images[:, :2] - alone).mean() < 0.25 * y.std()


def test_wrong_columns_after_the_fit(fitted: BrenierMap) -> None:
    for method in (fitted.transform, fitted.inverse_transform):
        with pytest.raises(InputError, match=r"must have 2 columns, as in `fit`; got shape \(4, 3\)"):
            method(np.zeros((4, 3)))


def test_unknown_attribute() -> None:
    import brenier

    with pytest.raises(AttributeError, match="no attribute 'Brenier'"):
        brenier.Brenier  # noqa: B018
    assert all(getattr(brenier, name) is not None for name in brenier.__all__)
