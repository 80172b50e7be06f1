r"""What takes the place of the inner product when the cost is not the quadratic one.

For the quadratic cost, `u` is convex, :math:`u^*(y) = \max_x \langle x, y\rangle - u(x)`, and the map is the gradient.
With a surplus :math:`k(x, y)` instead of the inner product, `u` is k-convex, :math:`u^k(y) = \max_x k(x, y) - u(x)`,
and the image of `x` is the `y` with :math:`\nabla_x k(x, y) = \nabla u(x)`. Any :math:`k = a(x) + b(y) - c(x, y)`
serves, since functions of one side change no optimal coupling. The dual value is linear in `u` at the maximiser,
whatever `k` is, so that training is the same: the envelope gradient at matching points.

A new kind of cost, one that is not a function of the displacement, is one file here, and one with its geometry in
`brenier.geometry`.

References: Villani 2009, "Optimal Transport, Old and New", definitions 5.2 and 5.7.
"""

from brenier.geometry.surplus._base import AbstractSurplus
from brenier.geometry.surplus.displacement import DisplacementSurplus
from brenier.geometry.surplus.inner_product import InnerProduct
from brenier.geometry.surplus.sphere import SphereSurplus

__all__ = ["AbstractSurplus", "DisplacementSurplus", "InnerProduct", "SphereSurplus"]
