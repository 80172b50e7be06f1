"""What must hold for a fit on any data, checked on points that it has not seen and by independent arithmetic.

Nothing here asks whether a map is good: on hard data few steps make poor maps. It asks whether all numbers are numbers,
whether bounds hold against exact answers, and whether what is not solved says so.
"""

import time
import warnings
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from brenier._errors import ConvergenceWarning, DataWarning, InputError
from brenier._types import Points, Values
from brenier.certificates.couplings import exact_plan
from brenier.certificates.empirical import empirical_interval
from brenier.certificates.terms import dual_terms
from brenier.certificates.transforms import EPS
from brenier.conjugates import Tolerance
from brenier.data.checks import as_points
from brenier.data.pairs import check_pair
from brenier.estimators.brenier_map import BrenierMap
from brenier.estimators.intake import Sample
from brenier.estimators.sides import split_side
from brenier.geometry import QuadraticGeometry
from brenier.maps import TransportMap
from brenier.potentials import AbstractPotential, double
from brenier.training import TrainingConfig
from brenier_bench.stress import StressProblem

__all__ = ["ERRORS", "FAILURES", "examine", "steps_for"]

Array = NDArray[np.float64]

FAILURES = "failures"
"""Field of a record: a sentence for each check that did not hold."""

_NEW = 1000
"""Points a side that the fit has not seen."""

_EXACT_ROUNDING = 1e-12
"""Rounding of the exact solver, relative to the largest cost of a pair: its answer is a sum of rounded numbers, too."""

_EXACT_WIDTH = 1e-9
"""Widest interval that counts as exact, relative to the same: what rounding bounds of a thousand terms come to."""

_SINGLE = 1e-5
"""Rounding of a dual value that was computed in single precision, relative to half the total variance of both sides."""

ERRORS = 3.0
"""Standard errors by which new points may disagree with those held out about the network's gain."""

_DIGITS = 4.0
"""Last digits of the data by which a preimage may be off for being one of their kind."""

_DENSITY_DIMS = 16

_REFITTED_DIMS, _REFITTED_ROWS = 8, 3000
"""Problems that are fitted again in other units, since that takes as long as all the rest."""

_POWER = 2.0**-20
"""Unit whose multiples round nothing."""

_SAME = 1e-9
"""Difference of two maps in such units, in standard deviations of the target."""


def steps_for(dim: int, rows: int) -> int:
    """Training steps: enough for a network to learn, few enough for 200 problems in an hour."""
    return 512 if dim <= 4 and rows <= 5000 else 256 if dim <= 32 else 128


def examine(problem: StressProblem, *, steps: int | None = None, again: bool = True) -> dict[str, Any]:
    """Fit a problem and check the result.

    Args:
        problem: The problem.
        steps: Training steps; those of `steps_for` by default.
        again: Whether to fit small problems again in other units.

    Returns:
        JSON values: what the problem is, what came out, and `failures`, empty if everything held.
    """
    since = time.perf_counter()
    record: dict[str, Any] = {
        "seed": problem.seed,
        "problem": str(problem),
        "kinds": list(problem.kinds),
        "steps": steps_for(problem.dim, min(problem.rows)) if steps is None else steps,
        "refused": None,
        "crashed": None,
        FAILURES: [],
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _fit_and_check(problem, record, again)
        except InputError as error:
            record["refused"] = str(error)
        except Exception as error:  # noqa: BLE001 - every kind of crash is what is looked for, and it is recorded
            record["crashed"] = f"{type(error).__name__}: {error}"[:500]
            record[FAILURES].append(f"raised {record['crashed']}")
    for warning in caught:
        if not issubclass(warning.category, DataWarning | ConvergenceWarning):
            record[FAILURES].append(f"warned {warning.category.__name__}: {warning.message} ({warning.filename})")
    record["warnings"] = sorted({f"{warning.category.__name__}: {str(warning.message)[:60]}" for warning in caught})
    record["seconds"] = round(time.perf_counter() - since, 1)
    return record


def _fit_and_check(problem: StressProblem, record: dict[str, Any], again: bool) -> None:
    x, y = problem.points(problem.rows)
    estimator = BrenierMap(max_steps=record["steps"], random_state=problem.seed).fit(x, y)
    map_: TransportMap = estimator.map_
    record |= {"gaussian": estimator.baseline_, "looks": len(estimator.history_)}
    wrong = record[FAILURES]
    wrong += _history_faults(estimator, x, y, problem.seed)
    new = New(map_, *problem.points((_NEW, _NEW), 1))
    record |= _beside_gaussian(map_, new)
    if not record["gain"] >= -ERRORS * record["gain_error"] and not _warns_of_copies(x, y):
        wrong.append(f"dual below the Gaussian map's by {-record['gain'] / record['gain_error']:.3g} standard errors")
    _check_moved(estimator, new, record)
    _check_inverse(map_, new, record)
    _check_distance(map_, new, record)
    if again and problem.dim <= _REFITTED_DIMS and max(problem.rows) <= _REFITTED_ROWS:
        _check_units(problem, estimator, record)


def _warns_of_copies(x: Array, y: Array) -> bool:
    """Whether the fit warns that held-out rows are copies, so that they are no judge: new points are another matter."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_pair(as_points(x, "X"), as_points(y, "Y"))
    said = " ".join(str(warning.message) for warning in caught)
    return "repeat earlier rows" in said or "closer to another row" in said


class New:
    """Points that the fit has not seen, with their preimages, and what the potential is there in double precision.

    Attributes:
        geometry, potential: Of the map, which is one for the quadratic cost without conditions.
        x, y: Points of the two sides.
        inner_x, inner_y: These points in the coordinates of the potential.
        inverse: Preimages of `y` by the map.
        places: These in the coordinates of the potential.
        of_x, of_places: Values and gradients of the potential.
        of_rounded: Values and gradients at places that differ from `places` by the last digit of the data.
    """

    def __init__(self, map_: TransportMap, x: Array, y: Array) -> None:
        self.geometry = c = cast(QuadraticGeometry, map_.geometry)
        self.potential = cast(AbstractPotential, map_.potential)
        self.x, self.y = x, y
        self.inner_x, self.inner_y = c.precise_x(x), c.precise_y(y)
        self.inverse = map_.inverse_with_status(y, error=True)
        self.places = c.precise_x(self.inverse.points)
        with jax.enable_x64(True):
            u = double(self.potential)
            rounded = self.places + EPS * (np.abs(self.inverse.points) + np.abs(c.mean_x)) @ np.abs(c.to_x).T
            self.of_x, self.of_places, self.of_rounded = (
                tuple(np.asarray(part) for part in _value_and_gradient(u, jnp.asarray(points)))
                for points in (self.inner_x, self.places, rounded)
            )


@eqx.filter_jit
def _value_and_gradient(u: AbstractPotential, points: Points) -> tuple[Values, Points]:
    return u.value_and_gradient(points)


def _history_faults(estimator: BrenierMap, x: Array, y: Array, seed: int) -> list[str]:
    """Dual values must be numbers, and no larger than the cost of a coupling of the same held-out points."""
    if not estimator.history_:
        return []
    faults = []
    config = TrainingConfig()
    seeds = [int(word) for word in np.random.RandomState(seed).randint(2**31 - 1, size=3)]
    sides = [
        split_side(Sample(name, as_points(points, name)), share=0.1, most=config.holdout, least=500, seed=part)
        for points, name, part in zip((x, y), "XY", seeds, strict=False)
    ]
    measured_x, measured_y = (estimator.map_.geometry.measure(side.holdout) for side in sides)
    bound = _coupling_cost(measured_x, measured_y)
    slack = _SINGLE * 0.5 * (measured_x.var(axis=0).sum() + measured_y.var(axis=0).sum())
    for row in estimator.history_:
        if not all(np.isfinite([row.dual, row.gain, row.error, row.gap])):
            faults.append(f"history at step {row.step} has a dual of {row.dual}, a gain of {row.gain} +- {row.error}")
        elif row.dual > bound + slack:
            faults.append(f"dual {row.dual:.6g} at step {row.step} above the cost {bound:.6g} of a coupling")
        if row.best and row.gain < 0:
            faults.append(f"kept a state at step {row.step} with a gain of {row.gain:.3g}")
    return faults


def _coupling_cost(x: Array, y: Array) -> float:
    """Least cost of a coupling, half the squared distance; of many points, of the best of two simple ones."""
    if len(x) * len(y) <= 1_000_000:
        return _exact_cost(x, y)[0]
    centre = y.mean(axis=0)
    centred_x, centred_y = x - centre, y - centre
    independent = 0.5 * (np.mean(np.sum(centred_x**2, axis=1)) + np.mean(np.sum(centred_y**2, axis=1)))
    if len(x) != len(y):
        return float(independent)
    axis = int(np.argmax(np.abs(centred_x).max(axis=0)))
    ordered = centred_x[np.argsort(centred_x[:, axis])] - centred_y[np.argsort(centred_y[:, axis])]
    return float(min(independent, 0.5 * np.mean(np.sum(ordered**2, axis=1))))


def _exact_cost(x: Array, y: Array) -> tuple[float, float]:
    """Half the squared W2 distance by POT's simplex on SciPy's distances, and how far rounding may be off."""
    costs = np.asarray(0.5 * cdist(x, y, "sqeuclidean"), np.float64)
    a, b = np.full(len(x), 1.0 / len(x)), np.full(len(y), 1.0 / len(y))
    plan, _ = exact_plan(x, y, a, b, lambda *_: costs)
    return float(plan.mass @ costs[plan.rows, plan.columns]), _EXACT_ROUNDING * float(costs.max())


def _beside_gaussian(map_: TransportMap, new: New) -> dict[str, float]:
    """Gain of the certified dual over the Gaussian map's on points that the fit has not seen, and its standard error.

    The Gaussian dual is the closed form of half the squared norm. The network's has everything taken off that inexact
    conjugates could have added.
    """
    c, inner_x, inner_y, places = map_.geometry, new.inner_x, new.inner_y, new.places
    values, (at, gradient) = new.of_x[0], new.of_places
    floor = float(np.asarray(map_.potential.convexity_floor()))
    residual = np.sum(np.square(gradient - inner_y), axis=1)
    conjugates = np.sum(places * inner_y, axis=1) - at + residual / (2.0 * floor)
    of_x = 0.5 * np.sum(inner_x**2, axis=1) - values
    of_y = 0.5 * np.sum(inner_y**2, axis=1) - conjugates
    error = np.hypot(of_x.std() / np.sqrt(len(of_x)), of_y.std() / np.sqrt(len(of_y)))
    unit, rounding = c.unit**2, 1e-12 * float(np.mean(np.sum(inner_x**2, axis=1) + np.sum(inner_y**2, axis=1)))
    return {"gain": unit * float(of_x.mean() + of_y.mean()), "gain_error": unit * float(error + rounding)}


def _check_moved(estimator: BrenierMap, new: New, record: dict[str, Any]) -> None:
    """Everything that moves or weighs points must give numbers."""
    x, y = new.x, new.y
    results = {
        "transform": estimator.transform(x),
        "interpolate": estimator.interpolate(x, 0.5),
        "score": estimator.score(x, y),
    }
    if estimator.map_.dim <= _DENSITY_DIMS:
        results["log_density"] = estimator.map_.log_density_with_status(y, "normal", side="target").value
    for name, values in results.items():
        if not np.isfinite(values).all():
            record[FAILURES].append(f"`{name}` is not finite in {np.sum(~np.isfinite(values))} places")


def _check_inverse(map_: TransportMap, new: New, record: dict[str, Any]) -> None:
    """Points that count as solved must be solved, and error bounds must hold where the preimage is known."""
    c, tolerance, inverse, inner_y, x = new.geometry, Tolerance(), new.inverse, new.inner_y, new.x
    images, gradient = c.leave_y(new.of_x[1]), new.of_places[1]
    norms = np.sqrt(np.mean(np.square((gradient - inner_y) / c.spread), axis=1))
    allowed = tolerance.atol + tolerance.rtol * np.sqrt(np.mean(np.square(inner_y / c.spread), axis=1))
    # Points in the units of the data are rounded: far from the origin that may be more than a direction's variance.
    digits = np.sqrt(np.mean(np.square((new.of_rounded[1] - gradient) / c.spread), axis=1))
    ratio = norms / (allowed + _DIGITS * digits)
    known = map_.inverse_with_status(images, error=True)
    assert known.error is not None
    assert inverse.error is not None
    off = np.linalg.norm(known.points - x, axis=1)
    # The images are rounded, too, and what that is worth depends on how far the inverse map stretches it.
    back = np.linalg.norm(c.from_x @ c.to_y, axis=0) / float(np.asarray(map_.potential.convexity_floor()))
    rounding = 4.0 * EPS * c.dim * (np.linalg.norm(x, axis=1) + np.abs(images) @ back)
    record |= {
        "unconverged": int(np.sum(~inverse.converged)),
        "worst_unconverged": float(norms[~inverse.converged].max(initial=0.0)),
        "worst_converged": float(ratio[inverse.converged].max(initial=0.0)),
        "worst_bound": float(np.max(off / (known.error + rounding))),
    }
    for name, values in (("points", inverse.points), ("residual", inverse.residual), ("error", inverse.error)):
        if not np.isfinite(values).all():
            record[FAILURES].append(f"inverse has `{name}` that are not finite")
    if record["worst_converged"] > 2.0:
        record[FAILURES].append(f"a converged preimage misses its tolerance {record['worst_converged']:.3g} times over")
    if record["worst_bound"] > 1.0:
        record[FAILURES].append(f"a preimage is {record['worst_bound']:.6g} times its error bound away")


def _check_distance(map_: TransportMap, new: New, record: dict[str, Any]) -> None:
    """Intervals must hold the exact distance, by either method, and all numbers must be finite."""
    x, y = new.x, new.y
    distance = map_.distance(x, y)
    assert distance.empirical is not None
    assert distance.mismatch is not None
    c = new.geometry
    exact, rounding = _exact_cost(*(c.measure(points - x.mean(axis=0)) for points in (x, y)))
    numbers = [distance.w2, distance.value, distance.cost, *distance.mismatch, *distance.empirical[:2]]
    if distance.population is not None:
        numbers += list(distance.population[:3])
    if not np.isfinite(numbers).all():
        record[FAILURES].append(f"`distance` has numbers that are not finite: {distance.record()}")
    terms = dual_terms(c, new.potential, x, y, new.places)
    centre = 0.5 * (x.mean(axis=0) + y.mean(axis=0))
    measured_x, measured_y, images = (c.measure(points - centre) for points in (x, y, np.asarray(map_.forward(x))))
    intervals = [distance.empirical]
    for most in (10**12, 0):  # operations: by transforms, and by the potential as it is
        intervals.append(empirical_interval(measured_x, measured_y, images, terms, exact=0, transformed=most))
    for interval in intervals:
        if not interval.lower - rounding <= exact <= interval.upper + rounding:
            record[FAILURES].append(
                f"the {interval.method} interval [{interval.lower!r}, {interval.upper!r}] misses {exact!r}"
            )
    lower, upper = distance.empirical[:2]
    # In the units of the largest cost of a pair an exact solver is off by rounding only.
    largest = rounding / _EXACT_ROUNDING
    if distance.empirical.method == "exact" and not upper - lower <= _EXACT_WIDTH * largest:
        record[FAILURES].append(f"the exact interval is {(upper - lower) / largest:.3g} of the largest cost wide")
    record |= {
        "w2": distance.w2,
        "exact_w2": float(np.sqrt(2.0 * exact)),
        "certified": distance.population is not None,
        "population_lower": distance.population_lower,
        "width": float((upper - lower) / upper) if upper > 0 else 0.0,
        "p_value": distance.mismatch.p_value,
    }


def _check_units(problem: StressProblem, estimator: BrenierMap, record: dict[str, Any]) -> None:
    """Data in other units must have the same map; in decimal units, and when shifted, up to rounding."""
    x, y = problem.points(problem.rows)
    unit, images = y.std(axis=0), np.asarray(estimator.transform(x))
    settings = {"max_steps": record["steps"], "random_state": problem.seed}
    for name, factor, shift in (
        ("power", _POWER, 0.0),
        ("decimal", 1e6, 0.0),
        ("shift", 1.0, 8.0 * float(x.std() + y.std())),
    ):
        again = BrenierMap(**settings).fit(factor * x + shift, factor * y - shift)
        moved = (np.asarray(again.transform(factor * x + shift)) + shift) / factor
        record[f"other_{name}"] = float(np.sqrt(np.mean(np.square((moved - images) / unit), axis=0)).max())
    if not record["other_power"] <= _SAME:
        record[FAILURES].append(f"another map in other units, by {record['other_power']:.3g} standard deviations")
