"""Broken files of every format, made at random: each reader takes them or refuses them, and does nothing else."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.corpus import corpus
from fuzz.mutate import mutate, mutate_bytes
from fuzz.targets import TARGETS, Finding, Target, attempt

FEW = settings(max_examples=10)


@pytest.mark.parametrize("name", TARGETS)
def test_some_of_the_files_that_are_mutated_are_taken(name):
    assert sum(attempt(name, contents) for contents in corpus(name)) > 0


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(number=st.integers(0, 2**32))
def test_what_is_changed_inside_is_taken_or_refused(name, number):
    rng = Random(number)
    contents = rng.choice(corpus(name))
    for _ in range(rng.choice((1, 1, 2))):
        contents = mutate(name, contents, rng)
    attempt(name, contents)


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(number=st.integers(0, 2**32), share=st.floats(0, 1))
def test_what_is_cut_and_flipped_is_taken_or_refused(name, number, share):
    rng = Random(number)
    contents = rng.choice(corpus(name))
    attempt(name, mutate_bytes(contents[: round(share * len(contents))], rng))


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(contents=st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(name, contents):
    attempt(name, contents)


class TestTheChecks:
    """What `attempt` calls a finding."""

    @pytest.mark.parametrize(
        ("read", "message"),
        [
            (lambda path: {}["x"], "KeyError"),
            (lambda path: __import__("warnings").warn("leaks", UserWarning, stacklevel=1), "UserWarning"),
            (lambda path: path.with_name("other").write_text("x"), "the folder has"),
            (lambda path: path.write_bytes(b"other"), "the file was changed"),
            (lambda path: __import__("os").system("true"), "caused .*os.system"),
            (lambda path: __import__("pickle").loads(b"cos\ngetcwd\n(tR."), "caused .*pickle.find_class"),
        ],
    )
    def test_each_catches_what_it_is_for(self, monkeypatch, read, message):
        monkeypatch.setitem(TARGETS, "own", Target(".bin", read))
        with pytest.raises(Finding, match=message):
            attempt("own", b"x")
