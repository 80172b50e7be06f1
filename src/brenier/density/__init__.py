"""Densities: base distributions moved by maps, and maps fitted by maximum likelihood.

`bases` has what may stand on the other side of a map, `log_det` and `change` the change of variables, `methods` what
maps offer; `likelihood` and `objective` are the training.
"""
