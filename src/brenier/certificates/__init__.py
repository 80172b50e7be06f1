"""How far an answer can be from the truth: bounds that do not ask how well a training went.

`terms` makes feasible dual values of a potential, `population` a confidence bound of their means, `empirical` an
interval around the distance of two samples from `transforms` and `couplings`, `general` one for any cost, `mismatch`
tests the image of a map, and `assess` puts all of it into one answer, a `Distance`.
"""

from brenier.certificates.assess import assess, average
from brenier.certificates.distance import Distance
from brenier.certificates.empirical import Interval, empirical_interval
from brenier.certificates.general import general_interval
from brenier.certificates.mismatch import Mismatch, mismatch
from brenier.certificates.population import population_bound
from brenier.certificates.terms import DualTerms, dual_terms, inverse_errors

__all__ = [
    "Distance",
    "DualTerms",
    "Interval",
    "Mismatch",
    "assess",
    "average",
    "dual_terms",
    "empirical_interval",
    "general_interval",
    "inverse_errors",
    "mismatch",
    "population_bound",
]
