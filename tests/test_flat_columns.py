"""Columns without variance, and covariances that are singular or nearly so: every table has coordinates."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from asserts import assert_close, assert_same
from brenier import BrenierMap, DataWarning, InputError
from brenier.costs import PNorm
from brenier.data.pairs import check_pair
from brenier.data.table import Table
from brenier.geometry import QuadraticGeometry, accumulate_moments, carry_flat, moments
from brenier.geometry.between import conditional_between

ROWS, FLAT = 300, 2


def clouds(rng: np.random.Generator, dim: int = 4) -> tuple[np.ndarray, np.ndarray]:
    x, y = rng.normal(size=(2, ROWS, dim))
    return x, y @ (np.eye(dim) + 0.3) + 1.0


def held(points: np.ndarray, value: float) -> np.ndarray:
    """The points with one column held at a value."""
    points = points.copy()
    points[:, FLAT] = value
    return points


def between(x: np.ndarray, y: np.ndarray) -> QuadraticGeometry:
    return QuadraticGeometry.between(*carry_flat(moments(x), moments(y)))


@pytest.mark.parametrize("sides", [(3.0, 3.0), (3.0, 5.1), (3.0, None), (None, 5.1)])
class TestCarried:
    def test_the_gaussian_map_is_a_translation_along_them_and_that_of_the_rest_elsewhere(self, sides, rng) -> None:
        x, y = (side if value is None else held(side, value) for side, value in zip(clouds(rng), sides, strict=True))
        geometry = between(x, y)
        rest = [0, 1, 3]
        first, second = (np.cov(side[:, rest].T, bias=True) for side in (x, y))
        root = np.real(sqrtm(first))
        expected = np.linalg.solve(root, np.linalg.solve(root, np.real(sqrtm(root @ second @ root))).T)
        assert_close(geometry.linear_map[np.ix_(rest, rest)], expected, rtol=1e-6, atol=1e-8)
        assert_close(geometry.linear_map[FLAT], np.eye(4)[FLAT], atol=1e-12)
        assert_close(geometry.linear_map[:, FLAT], np.eye(4)[FLAT], atol=1e-12)
        (axis,) = geometry.degenerate(*carry_flat(moments(x), moments(y)))
        assert_same(np.flatnonzero(np.abs(geometry.to_x[axis]) > 1e-12), [FLAT])


@pytest.mark.parametrize("sides", [(3.0, 3.0), (3.0, 5.1)])
def test_conditions_carry_what_is_constant_on_both_sides(sides, rng) -> None:
    x, y = (held(side, value) for side, value in zip(clouds(rng), sides, strict=True))
    codes = np.column_stack([np.zeros(ROWS), rng.uniform(-1.0, 1.0, ROWS)])
    x[:, 0] += codes[:, 1]
    ends = np.array([[-1.0]]), np.array([[1.0]])
    geometry = conditional_between(np.column_stack([x, codes]), np.column_stack([y, codes]), *ends, np.ones(4), 0)
    moved = geometry.leave_y(geometry.enter_x(np.column_stack([x, codes]))[:, :4], codes)
    assert np.isfinite(moved).all()
    assert_close((moved - x)[:, FLAT], np.full(ROWS, sides[1] - sides[0]), atol=1e-9)


def test_streams_are_told_apart_by_what_they_gave(rng) -> None:
    x = held(clouds(rng)[0], 0.1)
    streamed = accumulate_moments(np.array_split(x, 7))
    assert streamed.flat is not None
    assert_same(streamed.flat, [False, False, True, False])
    assert_close(streamed.covariance, moments(x).covariance, rtol=1e-9, atol=1e-12)


def test_sides_without_any_are_left_as_they_are(rng) -> None:
    source, target = map(moments, clouds(rng))
    first, second = carry_flat(source, target)
    assert first is source
    assert second is target


def singular(name: str, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A table whose covariance is hard to use."""
    dim, x = x.shape[1], x.copy()
    if name == "collinear":
        x[:, 1] = 2.0 * x[:, 0] - x[:, 3]
    elif name == "nearly collinear":
        x[:, 1] = x[:, 0] + 1e-9 * x[:, 1]
    elif name == "rank one":
        x = x[:, :1] * rng.normal(size=dim)
    elif name == "fewer rows than columns":
        x = x[:3]
    elif name == "variances of 1 to 1e12":
        x *= 10.0 ** np.linspace(0.0, 6.0, dim)
    elif name == "one row differs":
        x[:, 1] = 0.0
        x[5, 1] = 1.0
    elif name == "last digits differ":
        x[:, 1] = 3.0 + 1e-14 * x[:, 1]
    elif name == "two rows":
        x = x[:2]
    elif name == "truth values":
        x = (x > 0) * 1.0
    elif name == "one column varies":
        x[:, 1:] = 7.0
    elif name == "equal variances":
        x = np.linalg.qr(x - x.mean(axis=0))[0]
    return x


HARD = [
    "as it is",
    "collinear",
    "nearly collinear",
    "rank one",
    "fewer rows than columns",
    "variances of 1 to 1e12",
    "one row differs",
    "last digits differ",
    "two rows",
    "truth values",
    "one column varies",
    "equal variances",
]


@pytest.mark.parametrize("first", HARD)
@pytest.mark.parametrize("second", HARD)
def test_every_pair_of_tables_has_coordinates(first: str, second: str, rng) -> None:
    x, y = clouds(rng)
    sides = carry_flat(moments(singular(first, x, rng)), moments(singular(second, y, rng)))
    geometry = QuadraticGeometry.between(*sides)
    assert all(np.isfinite(part).all() for part in (geometry.to_x, geometry.to_y, geometry.from_x, geometry.from_y))
    for to, back in ((geometry.to_x, geometry.from_x), (geometry.to_y, geometry.from_y)):
        # In units of the deviations of the coordinates, which may be as far apart as those of the columns.
        errors = np.abs(to @ back - np.eye(4)) * np.outer(1.0 / geometry.spread, geometry.spread)
        assert errors.max() < 1e-8
    # The Gaussian map takes the covariance of one side to that of the other.
    moved = geometry.linear_map @ sides[0].covariance @ geometry.linear_map.T
    units = np.sqrt(np.outer(*[np.diag(sides[1].covariance)] * 2))
    assert np.abs((moved - sides[1].covariance) / units).max() < 1e-6


class TestChecks:
    def test_they_are_named_with_their_sides(self, rng) -> None:
        x, y = clouds(rng)
        x, y = held(x, 3.0), held(y, 5.0)
        x[:, 0] = 0.0
        names = ["a", "b", "c", "d"]
        with pytest.warns(DataWarning, match=r"are constant: `a` \(`X`\), `c` \(both\)\. The map moves them by the"):
            assert check_pair(Table(x, names), Table(y, names)) == [0, 2]

    def test_one_side_alone_is_refused_where_nothing_can_carry_it(self, rng) -> None:
        x, y = clouds(rng)
        with pytest.raises(InputError, match=r"`X` has constant columns, .* 2 \(always 3\)"):
            check_pair(Table(held(x, 3.0)), Table(y), one_sided=False)
        with pytest.raises(InputError, match=r"`Y` has constant columns, .* 2 \(always 3\)"):
            BrenierMap(cost=PNorm(1.5)).fit(x, held(y, 3.0))

    def test_a_point_is_no_distribution(self, rng) -> None:
        with pytest.raises(InputError, match=r"`X` has constant columns, .* 0 \(always 1\), 1 \(always 1\)"):
            check_pair(Table(np.ones((9, 2))), Table(clouds(rng, 2)[1]))

    def test_other_columns_are_still_checked(self, rng) -> None:
        x, y = clouds(rng)
        x[:, 1] = x[:, 0]
        with pytest.warns(DataWarning) as caught:
            check_pair(Table(held(x, 3.0)), Table(held(y, 3.0)))
        assert any("linearly dependent" in str(warning.message) for warning in caught)


@pytest.mark.filterwarnings("ignore::brenier.DataWarning", "ignore::brenier.ConvergenceWarning")
@pytest.mark.parametrize("sides", [(None, 5.1), (3.0, None), (3.0, 5.1)])
def test_fits_move_them_by_the_difference_of_the_means(sides, rng) -> None:
    x, y = (side if value is None else held(side, value) for side, value in zip(clouds(rng), sides, strict=True))
    # Some structure, so that a network is kept, and would squeeze the column if it could.
    y[:, 0] += 3.0 * np.sign(y[:, 0] - y[:, 0].mean())
    ot = BrenierMap(max_steps=128, random_state=0).fit(x, y)
    assert not ot.map_.info["gaussian"]
    assert ot.map_.info["carried"] == [FLAT]
    shift = y[:, FLAT].mean() - x[:, FLAT].mean()
    spread = max(x[:, FLAT].std(), y[:, FLAT].std(), 1.0)
    assert_close((ot.transform(x) - x)[:, FLAT], np.full(ROWS, shift), atol=1e-5 * spread)
    assert_close((ot.inverse_transform(y) - y)[:, FLAT], np.full(ROWS, -shift), atol=1e-4 * spread)
    assert np.isfinite(ot.distance(x, y).w2)


def test_rows_that_are_held_out_may_be_all_that_vary(rng) -> None:
    """Seen as "SVD did not converge": the training rows of such a column are constant, all of them are not."""
    x, y = clouds(rng)
    x[:, FLAT] = 0.0
    for row in range(0, ROWS, 60):
        some = x.copy()
        some[row, FLAT] = 1.0
        geometry = between(np.delete(some, row, axis=0), y)
        assert np.isfinite(geometry.linear_map).all()
