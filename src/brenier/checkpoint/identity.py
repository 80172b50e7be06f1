"""What a fit depends on, so that a checkpoint is never taken up by another: digests of the data, and all settings."""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError

__all__ = ["check_same", "data_digest"]

_LONGEST = 60
"""Characters of a setting that messages show."""


def data_digest(*arrays: NDArray[Any] | None) -> str:
    """Shapes, types and the SHA-256 of all entries of arrays; about a second for two gigabytes."""
    digest, shapes = hashlib.sha256(), []
    for array in arrays:
        if array is None:
            shapes.append("none")
            continue
        shapes.append(f"{'x'.join(map(str, array.shape))} {array.dtype}")
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return f"{', '.join(shapes)}: {digest.hexdigest()}"


def check_same(before: dict[str, Any], now: dict[str, Any], folder: str) -> None:
    """Refuse to go on with a fit to other data, or with other settings.

    Args:
        before: What the checkpoint's fit depended on: settings by name under "settings", digests of data by name.
        now: What this fit depends on, in the same form.
        folder: Where the checkpoint is.

    Raises:
        InputError: The two differ.
    """
    now = json.loads(json.dumps(now))
    if before == now:
        return
    names = dict.fromkeys([*before, *now])
    differ = [f"other {name}" for name in names if name != "settings" and before.get(name) != now.get(name)]
    old, new = before["settings"], now["settings"]
    differ += [
        f"`{name}` {_short(old.get(name))} there and {_short(new.get(name))} here"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    raise InputError(
        f"`checkpoint` {folder} belongs to another fit: {'; '.join(differ)}. Name another folder, or delete this one "
        "to start again."
    )


def _short(value: Any) -> str:  # noqa: ANN401 - any JSON value
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
