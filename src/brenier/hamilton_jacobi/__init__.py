"""Hamilton-Jacobi equations in many dimensions, from the Hopf-Lax formula: one small minimisation for each point.

`hopf_lax` is the face. `descent` and `bundle` minimise, the one by quasi-Newton steps, the other where there are kinks.
"""

from brenier.hamilton_jacobi.formula import HopfLax, hopf_lax

__all__ = ["HopfLax", "hopf_lax"]
