"""Any potential, restricted to a sphere."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from brenier._errors import InputError
from brenier._products import product
from brenier._types import Points, Values
from brenier.potentials._base import AbstractPotential
from brenier.potentials._kinds import POTENTIALS
from brenier.potentials.quadratic import Quadratic

__all__ = ["OnSphere"]


class OnSphere(AbstractPotential):
    r"""A potential at the point of a sphere that lies on the same ray, less half the squared norm.

    With :math:`\zeta = R x / |x| - c`, the value is that of the inner potential at :math:`\zeta`, less
    :math:`|\zeta|^2 / 2`: zero everywhere for one that is half the squared norm, the start of training. It is the same
    all along a ray, so that gradients are tangential.

    Args:
        inner: The potential, of as many columns.
        radius: The `R`, radius of the sphere.
        centre: `(d,)` the `c`: where the points are, so that the inner potential gets numbers about the origin.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> from brenier.potentials import MLP
        >>> u = OnSphere(MLP(3, (16,), rng=np.random.default_rng(0)), 1.0, (0.0, 0.0, 0.5))
        >>> u(jnp.array([[1.0, -2.0, 2.0]])).round(5).tolist()
        [0.0]
    """

    inner: AbstractPotential
    dim: int = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    centre: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, inner: AbstractPotential, radius: float, centre: Sequence[float]) -> None:
        if len(centre) != inner.dim:
            raise ValueError(f"`centre` must have {inner.dim} numbers, one a column of the potential; got {centre!r}.")
        self.inner, self.dim, self.radius = inner, inner.dim, float(radius)
        self.centre = tuple(float(own) for own in centre)

    def __call__(self, x: Points) -> Values:
        on = self.radius * x / jnp.linalg.norm(x, axis=1, keepdims=True)
        centre = jnp.asarray(self.centre, x.dtype)
        # |R x / |x| - c|^2 but for what is constant on the sphere.
        half = 0.5 * (self.radius**2 + sum(own**2 for own in self.centre)) - product(on, centre)
        return self.inner(on - centre) - half

    def convexity_floor(self) -> None:
        return None

    def hyperparameters(self) -> Mapping[str, Any]:
        names = {cls: kind for kind, cls in POTENTIALS.items()}
        own = type(self.inner).__name__
        if type(self.inner) not in names:
            raise InputError(
                f"the potential on the sphere has no name in files: `brenier.potentials.POTENTIALS` does not have "
                f"`{own}`. Add it, `POTENTIALS['{own.lower()}'] = {own}`, here and before `load`."
            )
        inner = dict(self.inner.hyperparameters())
        return {"kind": names[type(self.inner)], "inner": inner, "radius": self.radius, "centre": self.centre}

    @classmethod
    def skeleton(cls, kind: str, inner: Mapping[str, Any], radius: float, centre: Sequence[float]) -> "OnSphere":
        made = POTENTIALS[kind].skeleton(**inner)
        if not isinstance(made, AbstractPotential):
            raise TypeError(f"`kind` must be a potential; got {kind!r}.")
        return cls(made, radius, centre)

    @classmethod
    def constant(cls, radius: float, centre: Sequence[float]) -> "OnSphere":
        """The potential that is zero everywhere."""
        return cls(Quadratic.identity(len(centre)), radius, centre)
