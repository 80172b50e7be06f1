"""Conjugates as root problems, whose solutions are the preimages of a map; and values and images of its potential."""

from brenier.conjugates.precision import Precise, refine
from brenier.conjugates.problem import (
    BFGS_DIMENSIONS,
    NEWTON_DIMENSIONS,
    ConjugatePoints,
    Tolerance,
    conjugate,
    conjugate_points,
    solve_batch,
    solve_stragglers,
)
from brenier.conjugates.starts import GlobalConjugates, best_starts, better_starts, global_conjugates
from brenier.conjugates.values import certified_gaps, conjugate_values, dual_values, images, potential_values

__all__ = [
    "BFGS_DIMENSIONS",
    "NEWTON_DIMENSIONS",
    "ConjugatePoints",
    "GlobalConjugates",
    "Precise",
    "Tolerance",
    "best_starts",
    "better_starts",
    "certified_gaps",
    "conjugate",
    "conjugate_points",
    "conjugate_values",
    "dual_values",
    "global_conjugates",
    "images",
    "potential_values",
    "refine",
    "solve_batch",
    "solve_stragglers",
]
