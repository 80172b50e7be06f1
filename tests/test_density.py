"""Densities by maps: against closed forms, grids, finite differences and SciPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.integrate import simpson
from sklearn.base import clone

from asserts import assert_at_most, assert_close, assert_gradient, assert_same
from brenier import BrenierDensity, BrenierMap, ConvergenceWarning, DataWarning, InputError, Training, TransportMap
from brenier.conjugates import ConjugatePoints, conjugate_points
from brenier.costs import PNorm
from brenier.data.streams import ArrayStream
from brenier.density.likelihood import log_likelihood
from brenier.density.log_det import log_dets
from brenier.density.objective import LikelihoodObjective
from brenier.estimators.density import choose_density_config
from brenier.geometry import Moments, QuadraticGeometry, moments
from brenier.potentials import ICNN, Quadratic
from brenier.solvers import Status
from brenier.training import Chunk
from made import SHIFT, conditional_map, cost_map
from problems import covariance, gaussians


def bent_network(dim: int, seed: int = 1, activation: str = "softplus", strength: float = 8.0) -> ICNN:
    u = ICNN(dim, (24, 24), rng=np.random.default_rng(seed), activation=activation)
    return eqx.tree_at(lambda u: [layer.root_output for layer in u.layers], u, replace_fn=lambda r: strength * r)


def bent_map(dim: int, seed: int = 1, activation: str = "softplus") -> TransportMap:
    """A map that is far from affine, between clouds of different shapes and places."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((dim, dim)) + 2 * np.eye(dim)
    x, y = rng.standard_normal((500, dim)) @ mix - 1.0, 3.0 * rng.standard_normal((500, dim)) + 5.0
    return TransportMap(QuadraticGeometry.between(moments(x), moments(y)), bent_network(dim, seed, activation))


class TestLogDet:
    @pytest.mark.parametrize("dim", [1, 2, 5])
    def test_jacobians_by_finite_differences(self, dim, rng) -> None:
        map_, step = bent_map(dim), 1e-2
        x = map_.geometry.leave_x(rng.standard_normal((6, dim)))
        columns = [(map_.forward(x + s) - map_.forward(x - s)) / (2 * step) for s in step * np.eye(dim)]
        expected = np.linalg.slogdet(np.stack(columns, axis=2))
        assert_same(expected.sign, np.ones(6))
        assert_close(map_.log_det(x), expected.logabsdet, atol=2e-3)  # step^2 of third derivatives, and float32

    def test_quadratics_in_closed_form(self, rng) -> None:
        matrix = covariance(6, 30.0, 0)
        found = log_dets(Quadratic(jnp.asarray(matrix)), rng.standard_normal((4, 6)).astype(np.float32))
        assert_close(found.value, np.full(4, np.linalg.slogdet(matrix)[1]), atol=1e-4)
        assert_same(found.error, np.zeros(4))

    def test_estimates_are_within_their_errors(self, rng) -> None:
        u, x = bent_network(20, strength=12.0), rng.standard_normal((64, 20)).astype(np.float32)
        exact, found = log_dets(u, x), log_dets(u, x, exact=False)
        z = (found.value - exact.value) / found.error
        assert np.abs(exact.value).mean() > 20 * found.error.mean() > 0
        # Errors of all points come from the same signs; Student's t with 15 degrees of freedom.
        assert_at_most(np.sqrt(np.mean(z**2)), 2.5, "errors in standard errors")
        assert np.sqrt(np.mean(z**2)) > 0.2
        other = log_dets(u, x, exact=False, seed=1)
        assert np.abs(other.value - found.value).max() > 0

    def test_estimates_beyond_whole_hessians(self, rng) -> None:
        dim = 300
        curvatures = np.exp(rng.normal(size=dim))
        axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        u = Quadratic(jnp.asarray((axes * curvatures) @ axes.T, jnp.float32))
        found = log_dets(u, rng.standard_normal((3, dim)).astype(np.float32))
        assert found.error.min() > 0
        assert_at_most(np.abs(found.value - np.log(curvatures).sum()), 4 * found.error, "error")
        assert_close(
            log_dets(u, np.zeros((1, dim), np.float32), exact=True).value, [np.log(curvatures).sum()], rtol=1e-4
        )

    def test_a_diagonal_is_estimated_exactly(self) -> None:
        """Every random sign gives the same; and Lanczos ends early where all eigenvalues are equal."""
        found = log_dets(Quadratic(3.0 * jnp.eye(12)), np.zeros((2, 12), np.float32), exact=False)
        assert_close(found.value, np.full(2, 12 * np.log(3.0)), rtol=1e-5)
        assert_at_most(found.error, 1e-4, "error")


class TestChangeOfVariables:
    def test_gaussians_in_closed_form(self, rng) -> None:
        pair = gaussians(3)
        c = QuadraticGeometry.between(
            moments(rng.multivariate_normal(pair.mean_x, pair.covariance_x, 500)),
            moments(rng.multivariate_normal(pair.mean_y, pair.covariance_y, 500)),
        )
        map_ = TransportMap(c, Quadratic.identity(3))
        base = scipy.stats.multivariate_normal(pair.mean_x, pair.covariance_x)
        mean = c.mean_y + c.linear_map @ (pair.mean_x - c.mean_x)
        image = scipy.stats.multivariate_normal(mean, c.linear_map @ pair.covariance_x @ c.linear_map.T)
        y = rng.normal(size=(20, 3)) * 2 + pair.mean_y
        assert_close(map_.log_density(y, base), image.logpdf(y), atol=1e-4)
        assert_close(map_.log_density(y, base.logpdf), image.logpdf(y), atol=1e-4)
        # The other way: a base on the target, its preimage on the source.
        x = map_.inverse(y)
        assert_close(map_.log_density(x, image, side="source"), base.logpdf(x), atol=1e-4)

    @pytest.mark.parametrize(("side", "activation"), [("source", "softplus"), ("target", "ramp")])
    @pytest.mark.parametrize("dim", [1, 2])
    def test_densities_integrate_to_one(self, dim, side, activation) -> None:
        map_ = bent_map(dim, activation=activation)
        drawn = map_.sample(4000, "normal", side=side, seed=0)
        beyond = 0.3 * np.ptp(drawn, axis=0)
        axes = np.linspace(drawn.min(axis=0) - beyond, drawn.max(axis=0) + beyond, 201 if dim == 2 else 20001).T
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        total = np.exp(map_.log_density(points.reshape(-1, dim), "normal", side=side)).reshape(points.shape[:-1])
        for axis in axes[::-1]:
            total = simpson(total, x=axis)
        assert_close(total, 1.0, atol=1e-3)

    @pytest.mark.parametrize("side", ["source", "target"])
    def test_gradients_agree_with_finite_differences(self, side, rng) -> None:
        map_ = bent_map(3)
        drawn = map_.sample(5, "normal", side=side, seed=1)
        found = map_.log_density_gradient(drawn, "normal", side=side)
        step = 3e-2 * drawn.std(axis=0).mean()
        for axis in range(3):
            shift = np.zeros(3)
            shift[axis] = step
            up, down = (map_.log_density(drawn + s, "normal", side=side) for s in (shift, -shift))
            assert_close(found[:, axis], (up - down) / (2 * step), atol=2e-2 * np.abs(found).max())

    def test_samples_have_the_density(self) -> None:
        map_ = bent_map(1)
        for side in ("source", "target"):
            drawn = np.sort(map_.sample(4000, "normal", side=side, seed=0)[:, 0])
            grid = np.linspace(drawn[0] - 1, drawn[-1] + 1, 4001)
            density = np.exp(map_.log_density(grid[:, None], "normal", side=side))
            cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2) * (grid[1] - grid[0])])
            assert scipy.stats.kstest(drawn, lambda x, g=grid, c=cumulative: np.interp(x, g, c)).pvalue > 1e-3

    def test_status_of_what_was_not_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        map_, y = bent_map(2), np.array([[4.0, 6.0], [5.0, 5.0]])
        assert map_.log_density_with_status(y, "normal").converged.all()

        def one_lost(*args: object, **options: object) -> ConjugatePoints:
            found = conjugate_points(*args, **options)
            return found._replace(code=np.array([Status.max_steps_reached.code, Status.converged.code]))

        monkeypatch.setattr("brenier.density.change.conjugate_points", one_lost)
        assert map_.log_density_with_status(y, "normal").converged.tolist() == [False, True]
        with pytest.warns(ConvergenceWarning, match=r"1 of 2 log densities.*rows 0\."):
            map_.log_density(y, "normal")
        # No point is solved for where the base is on the target side.
        assert map_.log_density_with_status(y, "normal", side="source").converged.all()

    def test_refusals(self) -> None:
        map_ = bent_map(2)
        with pytest.raises(InputError, match="`base` is missing"):
            map_.log_density([[0.0, 0.0]])
        with pytest.raises(InputError, match=r"`side` must be 'source' or 'target'.*got 'left'"):
            map_.log_density([[0.0, 0.0]], "normal", side="left")
        with pytest.raises(InputError, match=r"`base` must be 'normal'.*got 'gamma'"):
            map_.log_density([[0.0, 0.0]], "gamma")
        with pytest.raises(InputError, match="cannot be drawn from"):
            map_.sample(3, lambda points: points[:, 0])
        with pytest.raises(InputError, match="`n` must be at least 1; got 0"):
            map_.sample(0, "normal")
        with pytest.raises(InputError, match="one log density for each of 1 points"):
            map_.log_density([[0.0, 0.0]], lambda points: np.zeros((1, 2)))
        with pytest.raises(InputError, match=r"densities need the quadratic cost; this fit has `cost`=PNorm\(p=1.5\)"):
            cost_map(PNorm(1.5)).log_det(np.zeros((1, 3)))
        with pytest.raises(InputError, match="`condition` was given, but the fit had none"):
            map_.log_det([[0.0, 0.0]], condition="a")

    def test_every_condition_has_a_density_of_its_own(self, rng: np.random.Generator) -> None:
        family = conditional_map(2, 0)
        kinds = np.array(["k0", "k1", "k1", "k0"])
        y = family.forward(SHIFT + rng.standard_normal((4, 3)), condition=kinds)
        base = lambda points: -0.5 * np.sum((points - SHIFT) ** 2, axis=1)  # noqa: E731
        found = family.log_density(y, base, condition=kinds)
        for row, kind in enumerate(kinds):
            assert_close(found[[row]], family.at(kind).log_density(y[[row]], base), rtol=1e-5)
        assert abs(found[0] - family.at("k1").log_density(y[[0]], base)[0]) > 0.01
        drawn = family.sample(4, "normal", condition=kinds, seed=3)
        assert_close(drawn[1:3], family.at("k1").sample(4, "normal", seed=3)[1:3], rtol=1e-5)


class TestLikelihood:
    @pytest.mark.usefixtures("x64")
    def test_gradient_by_finite_differences(self, rng) -> None:
        from brenier.potentials import double

        u = double(bent_network(3))
        spread, x = jnp.asarray([0.5, 1.0, 2.0]), jnp.asarray(rng.standard_normal((7, 3)))

        @jax.jit
        def loss(weights: np.ndarray) -> jax.Array:
            moved = eqx.tree_at(lambda u: u.layers[0].linear, u, jnp.asarray(weights))
            return jnp.mean(log_likelihood(moved, spread, x))

        at = np.asarray(u.layers[0].linear)
        assert_gradient(lambda w: float(loss(w)), np.asarray(jax.grad(loss)(jnp.asarray(at))), at, rtol=1e-6)

    def test_a_surrogate_has_the_mean_gradient_of_the_log_determinant(self, rng) -> None:
        from brenier.density.likelihood import _log_det_surrogate
        from brenier.density.log_det import cholesky_log_det

        u, x = bent_network(5, strength=12.0), jnp.asarray(rng.standard_normal((4, 5)), jnp.float32)

        def exact(u: ICNN) -> jax.Array:
            return jnp.sum(cholesky_log_det(u.hessian(x)))

        signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 5)).reshape(5, -1).T  # all of them: the mean is exact

        def estimated(u: ICNN) -> jax.Array:
            rows, every = jnp.repeat(x, len(signs), axis=0), jnp.tile(jnp.asarray(signs, jnp.float32), (len(x), 1))
            return jnp.sum(_log_det_surrogate(u, rows, every)) / len(signs)

        first, second = eqx.filter_grad(exact)(u), eqx.filter_grad(estimated)(u)
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
            assert_close(b, a, atol=2e-3 * max(float(jnp.abs(a).max()), 1e-3))

    def test_steps_climb(self, rng) -> None:
        x = rng.exponential(size=(4096, 1)) - 1.0
        coordinates = QuadraticGeometry.between(*[Moments(np.zeros(1), np.eye(1), len(x))] * 2)
        config = choose_density_config(1, None, widths=(16, 16))
        objective = LikelihoodObjective(ArrayStream(x, rng), coordinates, x[:64], None, 0.0, config, seed=0)
        rates = np.full(64, 0.01, np.float32)
        _, statistics = objective.advance(objective.start(objective.make_potential()), Chunk(0, rates, rates))
        losses = statistics["training"]
        assert losses[-16:].mean() < losses[:16].mean() - 0.05


@pytest.fixture(scope="module")
def curved() -> tuple[np.ndarray, np.ndarray]:
    """A banana: normal in `(x, y - x^2)`."""

    def draw(seed: int) -> np.ndarray:
        z = np.random.default_rng(seed).standard_normal((3000, 2))
        return np.column_stack([z[:, 0], 0.5 * z[:, 1] + z[:, 0] ** 2]) * [1.0, 10.0]

    return draw(0), draw(1)


@pytest.fixture(scope="module")
def fitted(curved) -> BrenierDensity:
    return BrenierDensity(max_steps=512, random_state=0).fit(curved[0])


class TestEstimator:
    def test_a_known_density_is_approached(self, fitted, curved) -> None:
        x = curved[1]
        exact = (
            scipy.stats.norm.logpdf(x[:, 0])
            + scipy.stats.norm.logpdf(x[:, 1] / 10 - x[:, 0] ** 2, scale=0.5)
            - np.log(10)
        )
        normal = scipy.stats.multivariate_normal(curved[0].mean(axis=0), np.cov(curved[0].T)).logpdf(x)
        assert not fitted.baseline_
        # Divergence from the truth, as a share of that of the best normal distribution.
        assert np.mean(exact) - fitted.score(x) < 0.12 * (np.mean(exact) - normal.mean())
        assert_close(fitted.score(x), fitted.score_samples(x).mean(), rtol=1e-12)
        assert_close(fitted.history_[-1].log_likelihood, fitted.score(x), atol=0.1)

    def test_one_that_diverges_before_its_first_good_state_starts_again(self, curved) -> None:
        """The steps give the memory of their state away, and with it, once, the network to start again from."""
        fast = Training(learning_rate=50.0)
        with pytest.warns(match="diverged"):
            fitted = BrenierDensity(max_steps=256, training=fast, refit=False, random_state=0).fit(curved[0])
        assert fitted.baseline_

    def test_it_integrates_to_one(self, fitted) -> None:
        axes = [np.linspace(-5, 5, 301), np.linspace(-40, 200, 601)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        values = np.exp(fitted.score_samples(points)).reshape(301, 601)
        assert_close(simpson(simpson(values, x=axes[1]), x=axes[0]), 1.0, atol=1e-2)

    def test_samples_look_like_the_data(self, fitted, curved) -> None:
        drawn = fitted.sample(2000, random_state=0)
        for column in range(2):
            assert scipy.stats.ks_2samp(drawn[:, column], curved[1][:, column]).statistic < 0.06
        assert_same(drawn, fitted.sample(2000, random_state=0))

    def test_a_saved_map_knows_its_base(self, fitted, curved, tmp_path) -> None:
        fitted.map_.save(tmp_path / "density.brenier")
        again = TransportMap.load(tmp_path / "density.brenier")
        assert_same(again.log_density(curved[1][:5]), fitted.score_samples(curved[1][:5]))
        with pytest.raises(InputError, match="`side` is that of the base"):
            again.log_density(curved[1][:5], side="target")

    def test_normal_data_stay_normal(self, rng) -> None:
        x = rng.multivariate_normal([1.0, 2.0], [[2.0, 1.0], [1.0, 3.0]], 800)
        density = BrenierDensity(max_steps=128, random_state=0).fit(x)
        assert density.baseline_
        expected = scipy.stats.multivariate_normal(x.mean(axis=0), np.cov(x.T, bias=True)).logpdf(x[:10])
        assert_close(density.score_samples(x[:10]), expected, atol=1e-4)

    def test_weights_are_repeated_rows(self, rng) -> None:
        x, counts = rng.exponential(size=(700, 2)), rng.integers(0, 4, 700)
        density = BrenierDensity(max_steps=1, refit=False, random_state=0).fit(x, sample_weight=counts)
        repeated = np.repeat(x, counts, axis=0)
        assert_close(density.score(x, sample_weight=counts), density.score(repeated), rtol=1e-6)
        whole = BrenierDensity(max_steps=1, random_state=0).fit(x, sample_weight=counts)
        assert_close(whole.map_.geometry.mean_x, repeated.mean(axis=0), rtol=1e-9)
        with pytest.raises(InputError, match="`sample_weight` has 1 negative weights"):
            density.fit(x, sample_weight=np.r_[-1.0, counts[1:]])

    def test_one_seed_one_result_and_clones(self, curved) -> None:
        first = BrenierDensity(max_steps=64, random_state=3).fit(curved[0][:300])
        second = clone(first).fit(curved[0][:300])
        assert_same(first.score_samples(curved[1]), second.score_samples(curved[1]))

    def test_many_dimensions_train_without_whole_hessians(self, rng) -> None:
        x = rng.exponential(size=(2000, 40))
        density = BrenierDensity(max_steps=192, training=Training(hidden=(32, 16)), refit=False, random_state=0).fit(
            x[:1500]
        )
        normal = scipy.stats.multivariate_normal(x.mean(axis=0), np.cov(x.T)).logpdf(x[1500:]).mean()
        assert not density.baseline_
        assert density.score(x[1500:]) > normal + 0.5

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"max_steps": 0}, "`max_steps`"),
            ({"holdout": 1.0}, "`holdout`"),
            ({"training": Training(activation="tanh")}, "`activation`"),
            ({"training": Training(pool_size=64)}, "`pool_size` of `training` means nothing to `BrenierDensity`"),
        ],
    )
    def test_refusals(self, change, words, curved) -> None:
        with pytest.raises(InputError, match=words):
            BrenierDensity(**change).fit(curved[0])

    def test_callbacks_see_rows_and_end_fits(self, curved) -> None:
        rows = []
        density = BrenierDensity(max_steps=512, random_state=0, callbacks=lambda row: rows.append(row) or True)
        density.fit(curved[0])
        assert len(rows) == 1
        assert density.n_iter_ == 64
        assert "callback" in density.stop_


@pytest.mark.parametrize("reverse", [False, True])
def test_a_map_from_a_normal_base_is_a_density(reverse, rng) -> None:
    y, new = np.exp(0.5 * rng.standard_normal((2, 3000, 1)))
    ot = BrenierMap(max_steps=256, random_state=0)
    ot.fit(y, "normal") if reverse else ot.fit("normal", y)
    exact, normal = scipy.stats.lognorm(0.5).logpdf(new).mean(), scipy.stats.norm(y.mean(), y.std()).logpdf(new).mean()
    # The dual is not the likelihood: it comes most of the way.
    assert exact - ot.log_density(new).mean() < 0.4 * (exact - normal)
    assert ot.sample(5).shape == (5, 1)
    with pytest.raises(InputError, match="both 'normal'"):
        BrenierMap().fit("normal", "normal")
    with pytest.raises(InputError, match="'normal' as `X` or `Y` has no conditions"):
        BrenierMap().fit("normal", y, y_condition=y[:, 0] > 1.0)


def test_discrete_columns_are_named(rng) -> None:
    x = np.column_stack([rng.normal(size=800), rng.integers(0, 5, 800)])
    with pytest.warns(DataWarning, match=r"`X` has discrete columns: column 1 takes 5 different values.*dequantize"):
        BrenierDensity(max_steps=1, random_state=0).fit(x)
    density = BrenierDensity(max_steps=1, dequantize="auto", random_state=0).fit(x)
    assert density.map_.info["dequantized"] == [0.0, 1.0]
    assert_close(density.map_.geometry.mean_x, x.mean(axis=0), atol=0.1)
    deviation = np.array(density.map_.info["base"]["deviation"])
    assert_close(deviation[1] ** 2, x[:, 1].var() + 1.0 / 12.0, rtol=0.02)  # that of uniform noise on one step
