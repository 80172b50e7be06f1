"""Fitted maps as StableHLO: programs of `jax.export`, which run where JAX is installed and brenier is not.

The affine coordinates are computed in float64 inside the program, whatever the type of its points is, so that data far
from the origin lose no digits; the potential in the type of the points, float32 as in the original or float64.
"""

import io
import zipfile
from collections.abc import Callable
from importlib import import_module
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from brenier._errors import InputError
from brenier._types import Array, Counts, Float, Mask, Points, Values
from brenier.conjugates import BFGS_DIMENSIONS, NEWTON_DIMENSIONS, Tolerance
from brenier.export.description import as_json, check_cost, check_dtype, description
from brenier.export.jax_coordinates import affine
from brenier.files.atomic import FilePath, atomic_write
from brenier.maps import TransportMap
from brenier.potentials import AbstractFamily, AbstractFunction
from brenier.solvers import BFGS, LBFGS, AbstractSolver, Newton, iterate, residual_norm

__all__ = ["PLATFORMS", "save_stablehlo"]

PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms that a program is lowered for."""

METADATA, PROGRAM = "brenier.json", "program.jax"
"""Members of a file: the description, and what `jax.export.deserialize` reads."""

_STEPS = 100
"""Budget of the first solver, as in `brenier.conjugates`."""


def save_stablehlo(
    map_: TransportMap, path: FilePath, *, inverse: bool = False, dtype: str = "float32"
) -> dict[str, Any]:
    """Write a map as a StableHLO program for any number of rows on CPUs, NVIDIA GPUs and TPUs.

    The file is a ZIP archive: `program.jax` is what `jax.export.deserialize` reads, `brenier.json` describes it.

    Args:
        map_: The map; the program of one with conditions takes them, `(n, 1 + numbers)`, as its second argument:
            the number of the class, then the numbers in their own units.
        path: File to write, whole or not at all.
        inverse: Write the inverse, which returns points, residuals, converged rows and steps, instead of the forward
            map, which returns points.
        dtype: Type of the points and of the potential: `"float32"`, or `"float64"`, for which the process that runs the
            program must have switched on `jax_enable_x64`.

    Returns:
        The description of the program.

    Raises:
        InputError: flatbuffers is not installed, the cost is no squared distance, or the file cannot be written.
    """
    check_dtype(dtype)
    check_cost(map_)
    try:
        import_module("flatbuffers")  # what JAX writes programs with
    except ImportError as error:
        raise InputError(
            f"StableHLO programs need flatbuffers ({error}). Run `pip install 'brenier[stablehlo]'`."
        ) from error
    record = description(map_, "inverse" if inverse else "forward", dtype)
    record |= {"jax": jax.__version__, "platforms": list(PLATFORMS)}
    with jax.enable_x64(True):
        rows = jax_export.symbolic_shape("rows")[0]
        arguments = [jax.ShapeDtypeStruct((rows, map_.dim), np.dtype(dtype))]
        if map_.conditions is not None:
            arguments.append(jax.ShapeDtypeStruct((rows, 1 + map_.conditions.numbers), np.dtype(dtype)))
        function = _inverse(map_, dtype) if inverse else _forward(map_, dtype)
        program = jax_export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
        contents = program.serialize()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(METADATA, as_json(record))
        archive.writestr(PROGRAM, bytes(contents))
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
    return record


def _forward(map_: TransportMap, dtype: str) -> Callable[..., Points]:
    family, coordinates = _potential(map_, dtype), affine(map_)

    def forward(x: Points, condition: Float[Array, "n k"] | None = None) -> Points:
        codes = coordinates.codes(condition, x)
        u = _under(family, codes, dtype)
        return coordinates.leave_y(u.gradient(coordinates.enter_x(x, codes).astype(dtype)), codes).astype(dtype)

    return forward


def _inverse(map_: TransportMap, dtype: str) -> Callable[..., tuple[Points, Values, Mask, Counts]]:
    family, coordinates, tolerance = _potential(map_, dtype), affine(map_), Tolerance()
    scale = np.asarray(map_.geometry.spread, dtype)

    def inverse(y: Points, condition: Float[Array, "n k"] | None = None) -> tuple[Points, Values, Mask, Counts]:
        codes = coordinates.codes(condition, y)
        u, target = _under(family, codes, dtype), coordinates.enter_y(y, codes).astype(dtype)
        bound = tolerance.atol + tolerance.rtol * residual_norm(target, jnp.asarray(scale))
        x, steps, converged = target, jnp.zeros(target.shape[:1], jnp.int32), jnp.zeros(target.shape[:1], bool)
        for solver, budget in _solvers(map_.dim):
            result, _ = iterate(
                solver,
                lambda at: u.gradient(at) - target,
                x,
                tolerance=bound,
                max_steps=budget,
                scale=jnp.asarray(scale),
            )
            x, steps, converged = result.value, steps + result.steps, result.converged
        reached = coordinates.leave_y(u.gradient(x), codes)
        residual = jnp.linalg.norm(reached - y.astype(jnp.float64), axis=1)
        return coordinates.leave_x(x, codes).astype(dtype), residual.astype(dtype), converged, steps

    return inverse


def _solvers(dim: int) -> list[tuple[AbstractSolver[Any], int]]:
    """The solvers of `brenier.conjugates` with their budgets, run one after the other on the rows still unsolved."""
    first: AbstractSolver[Any] = BFGS() if dim <= BFGS_DIMENSIONS else LBFGS()
    second: AbstractSolver[Any] = Newton() if dim <= NEWTON_DIMENSIONS else LBFGS()
    return [(first, _STEPS), (second, 4 * _STEPS)]


def _potential(map_: TransportMap, dtype: str) -> AbstractFamily:
    """The potential, or the family of potentials, in the precision of the program."""
    family = map_.potential
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype) if eqx.is_inexact_array(leaf) else leaf, family)


def _under(family: AbstractFamily, codes: Float[Array, "n k"], dtype: str) -> AbstractFunction:
    """The potential of each row; an arbitrary class for rows whose class does not exist, whose coordinates are NaN."""
    return family.under(family.changes(jnp.nan_to_num(codes).astype(dtype)))
