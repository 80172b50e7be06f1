"""Root finders for batches of independent small problems. No networks, no optimizer, no printing.

`iterate` moves all rows together, `iterate_queue` many rows through few slots; `Picard`, `Anderson`, `Spectral`,
`BFGS`, `LBFGS` and `Newton` are the rules. A new rule is one file with three methods.
"""

from brenier.solvers._iterate import iterate
from brenier.solvers._queue import iterate_queue
from brenier.solvers._rows import residual_norm
from brenier.solvers._solver import AbstractSolver, Solution, Status
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
    "iterate_queue",
    "residual_norm",
]
