"""Misspelt names of parameters: the error says which was meant."""

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Self

from brenier.data.table import InputTypeError

__all__ = ["Spelled", "check_spelling"]


class Spelled:
    """Refuses keyword arguments that its constructor lacks, and says which one was meant.

    Python would raise a bare TypeError. Checks of types see the constructor as it is: arguments are looked at before
    it is called.

    Attributes:
        elsewhere: Names that are set in another place, and what to write instead.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {}

    def __new__(cls, *_: Any, **given: Any) -> Self:  # noqa: ANN401
        parameters = inspect.signature(cls.__init__).parameters
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
            check_spelling(cls.__name__, given, [name for name in parameters if name != "self"], cls.elsewhere)
        return super().__new__(cls)


def check_spelling(owner: str, given: Iterable[str], known: Iterable[str], elsewhere: Mapping[str, str]) -> None:
    """Refuse names that are not known.

    Args:
        owner: What messages call the thing that has the parameters.
        given: The names to check.
        known: The valid names.
        elsewhere: Other names that users may look for here, and what to write instead.

    Raises:
        InputTypeError: A name is not valid; the message says which is nearest, or lists all.
    """
    names = {name: name for name in known}
    for name in given:
        if name in names:
            continue
        meant = {**elsewhere, **names}
        near = [name] if name in meant else get_close_matches(name, meant, n=1)
        hint = f"Did you mean `{meant[near[0]]}`?" if near else f"It has {', '.join(f'`{known}`' for known in names)}."
        raise InputTypeError(f"`{owner}` has no parameter `{name}`. {hint}")
