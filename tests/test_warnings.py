"""Warnings point at the line that called the library, whatever lies between. test_troubleshooting.py has the rest."""

import threading
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import equinox as eqx
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from brenier import BrenierDensity, BrenierMap, ConvergenceWarning, DataWarning, JoinedMap, write_report
from brenier._errors import warn
from brenier.files import read_points

Entry = Callable[[np.random.Generator, Path], object]
FEW = BrenierMap(max_steps=1)


def clouds(rng: np.random.Generator, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """So few that no network is trained, which is warned of."""
    return rng.normal(size=(n, 2)), rng.normal(size=(n, 2))


def with_numbers(rng: np.random.Generator) -> BrenierMap:
    X, Y = clouds(rng, 400)
    condition = {"x_condition": rng.uniform(size=400), "y_condition": rng.uniform(size=400)}
    return BrenierMap(max_steps=1, refit=False, random_state=0).fit(X, Y, **condition)


def counted(folder: Path) -> Path:
    (folder / "a.csv").write_text("0,1\n2,3\n")
    return folder / "a.csv"


# Lines of this file call each public name that warns; the last column is a part of the message.
ENTRIES: dict[str, tuple[Entry, str]] = {
    "fit": (lambda rng, _: BrenierMap(max_steps=1).fit(*clouds(rng)), "too few samples"),
    "fit of a density": (lambda rng, _: BrenierDensity(max_steps=1).fit(rng.poisson(2.0, (500, 1))), "discrete"),
    "fit in a pipeline": (
        lambda rng, _: make_pipeline(JoinedMap(BrenierMap(max_steps=1))).fit(
            np.concatenate(clouds(rng)), np.repeat([0, 1], 30)
        ),
        "too few samples",
    ),
    "fit with weights": (
        lambda rng, _: BrenierMap(max_steps=1).fit(*clouds(rng, 99), x_weight=np.exp(9 * rng.normal(size=99))),
        "is so uneven that",
    ),
    "fit in other units": (
        lambda rng, _: BrenierMap(max_steps=1).fit(*(points * [1.0, 1e4] for points in clouds(rng))),
        "standard deviations of the columns range",
    ),
    "transform": (lambda rng, _: with_numbers(rng).transform([[0.0, 0.0]], condition=3.0), "outside the range"),
    "inverse_transform": (
        lambda rng, _: with_numbers(rng).inverse_transform([[0.0, 0.0]], condition=3.0),
        "outside the range",
    ),
    "interpolate": (lambda rng, _: with_numbers(rng).interpolate([[0.0, 0.0]], 0.5, condition=3.0), "outside the"),
    "forward of a map": (lambda rng, _: with_numbers(rng).map_.forward([[0.0, 0.0]], condition=3.0), "outside the"),
    "read_points": (lambda _, folder: read_points(counted(folder)), "is taken as a point"),
    "write_report": (
        lambda rng, folder: write_report(FEW.fit(*clouds(rng)).map_, *clouds(rng), folder / "page.html"),
        "too few samples",
    ),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_public_name_warns_at_the_line_that_called_it(entry: str, rng, tmp_path: Path) -> None:
    call, message = ENTRIES[entry]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(rng, tmp_path)
    assert any(message in str(warning.message) for warning in caught)
    assert {warning.filename for warning in caught} == {__file__}


class Wrapped(eqx.Module):
    """A module of Equinox, which wraps methods."""

    def __call__(self) -> None:
        warn("said", DataWarning)


@contextmanager
def warning_at_the_end():
    yield
    warn("said", DataWarning)


def in_a_thread(target: Callable[[], object] = lambda: warn("said", DataWarning)) -> None:
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()


def leave() -> None:
    with warning_at_the_end():
        pass


@pytest.mark.parametrize(
    "call", [lambda: warn("said", ConvergenceWarning), lambda: Wrapped()(), leave, in_a_thread, lambda: exec(NAMELESS)]
)
def test_the_line_is_that_of_the_first_frame_of_the_user(call: Callable[[], object]) -> None:
    with pytest.warns(UserWarning, match="^said$") as caught:
        call()
    assert caught[0].filename in (__file__, "<string>")
    assert len(caught) == 1


NAMELESS = "from brenier._errors import DataWarning, warn\nwarn('said', DataWarning)"


def test_frames_of_the_package_and_of_what_wraps_it_are_passed_over() -> None:
    scope = {"warn": warn, "DataWarning": DataWarning}
    for package in ("equinox._module", "sklearn.base", "brenier.maps", "brenier"):
        scope = {"__name__": package, "inner": scope.get("outer", lambda: warn("said", DataWarning))}
        exec("def outer():\n    inner()", scope)
    with pytest.warns(DataWarning) as caught:
        scope["outer"]()
    assert caught[0].filename == __file__


def test_a_program_of_ours_alone_still_warns() -> None:
    """Where every frame is passed over, the outermost one is named."""
    scope = {"__name__": "brenier.cli", "warn": warn, "DataWarning": DataWarning}
    exec("def outer():\n    warn('said', DataWarning)", scope)
    with pytest.warns(DataWarning, match="said"):
        in_a_thread(scope["outer"])
