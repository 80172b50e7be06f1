"""The methods of a comparison: where each lives, what it can be run on, and what has to be installed for it."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from brenier._errors import InputError
from brenier_bench.method import Fitted

__all__ = ["METHODS", "OURS", "Method", "choose_methods"]

OURS, LIMIT = "brenier", "limit"


class Method(NamedTuple):
    """A row of the comparison.

    Attributes:
        module, function: Where it is, below `brenier_bench.peers`; imported only in its own process.
        label: What it is, for people.
        streams: Whether it learns from samplers.
        finite: Whether it learns from finite samples.
        needs: What to install for it.
    """

    module: str
    function: str
    label: str
    streams: bool = True
    finite: bool = True
    needs: str | None = None

    def load(self) -> Callable[..., Fitted]:
        """Import the function that runs the method, with what it needs.

        Raises:
            InputError: Something is not installed.
        """
        try:
            return getattr(import_module(f"brenier_bench.peers.{self.module}"), self.function)
        except ModuleNotFoundError as error:
            if self.needs is None:
                raise
            raise InputError(f"{self.needs} is not installed ({error}): pip install 'brenier-bench[peers]'.") from error


_OTT = "OTT-JAX"

METHODS: dict[str, Method] = {
    OURS: Method("ours", "fit", "brenier, defaults"),
    "enot": Method("enot", "fit_tuned", "OTT-JAX ExpectileNeuralDual, tuned", needs=_OTT),
    "enot-defaults": Method("enot", "fit_documented", "OTT-JAX ExpectileNeuralDual, its defaults", needs=_OTT),
    "w2dual": Method("w2dual", "fit_tuned", "OTT-JAX W2NeuralDual, tuned", needs=_OTT),
    "w2dual-defaults": Method("w2dual", "fit_documented", "OTT-JAX W2NeuralDual, its defaults", needs=_OTT),
    "minimax": Method("minimax", "fit", "MM:R, adversarial"),
    "cycle": Method("cycle", "fit", "W2GN, cycle loss"),
    LIMIT: Method("limit", "fit", "brenier's network, regression on the exact map"),
    "emd": Method("couplings", "emd", "POT EMDTransport", streams=False),
    "sinkhorn": Method("couplings", "sinkhorn", "POT SinkhornTransport, best of a grid", streams=False),
    "linear": Method("couplings", "linear", "POT LinearTransport", streams=False),
    "mapping": Method("couplings", "mapping", "POT MappingTransport, best of a grid", streams=False),
    "entropic": Method("entropic", "fit", "OTT-JAX entropic map, best of a grid", streams=False, needs=_OTT),
}
"""In the order in which they run. The limit comes after brenier, whose number of steps it takes."""


def choose_methods(names: list[str] | None, *, finite: bool) -> list[str]:
    """The methods of a comparison, in order: those named, or all that can be run on such a problem.

    Raises:
        InputError: A name is unknown, or its method does not learn from such data.
    """
    able = [name for name, method in METHODS.items() if (method.finite if finite else method.streams)]
    if not names:
        return able
    for name in names:
        if name not in METHODS:
            raise InputError(f"`--method` {name!r} is not known. Choose from {', '.join(METHODS)}.")
        if name not in able:
            raise InputError(f"`--method` {name!r} needs finite samples: give `--finite N`, or leave it out.")
    wanted = {OURS, *names} if LIMIT in names else set(names)
    return [name for name in able if name in wanted]
