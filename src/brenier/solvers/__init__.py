"""Root finders for batches of independent small problems. No networks, no optimizer, no printing.

`iterate` is the loop; `Picard`, `Anderson`, `Spectral`, `LBFGS` and `Newton` are the rules. A new rule is one file
with three methods.
"""

from brenier.solvers._iterate import AbstractSolver, Solution, Status, iterate, residual_norm
from brenier.solvers.anderson import Anderson
from brenier.solvers.bfgs import BFGS
from brenier.solvers.lbfgs import LBFGS
from brenier.solvers.newton import Newton
from brenier.solvers.picard import Picard
from brenier.solvers.spectral import Spectral

__all__ = [
    "BFGS",
    "LBFGS",
    "AbstractSolver",
    "Anderson",
    "Newton",
    "Picard",
    "Solution",
    "Spectral",
    "Status",
    "iterate",
    "residual_norm",
]
