"""Conditions of a fit: which columns are labels and which are numbers, and the codes under which a map knows them."""

from brenier.conditions.codes import describe, read_codes
from brenier.conditions.space import ConditionSpace, Kinds, Variable, find_space

__all__ = ["ConditionSpace", "Kinds", "Variable", "describe", "find_space", "read_codes"]
