"""Hamilton-Jacobi equations in many dimensions, from the Hopf-Lax formula: one small minimisation for each point.

`hopf_lax` is what users call. `descent` and `bundle` minimise: by quasi-Newton steps, and where there are kinks.
"""

from brenier.hamilton_jacobi.formula import HopfLax, hopf_lax

__all__ = ["HopfLax", "hopf_lax"]
