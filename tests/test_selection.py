"""What the quick run leaves out: `slow.txt` names tests that exist, and leaves a quick one in every file."""

import ast
import fnmatch
import functools
from pathlib import Path

from conftest import slow_tests
from seconds import table

TESTS = Path(__file__).parent


@functools.cache
def defined(file: str) -> set[str]:
    """Names of the tests of a file, with their classes."""
    body = ast.parse((TESTS / file).read_text()).body
    tests = {node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    for group in body:
        if isinstance(group, ast.ClassDef) and group.name.startswith("Test"):
            methods = (node.name for node in group.body if isinstance(node, ast.FunctionDef))
            tests |= {f"{group.name}::{name}" for name in methods if name.startswith("test_")}
    return tests


def named(line: str, tests: set[str]) -> set[str]:
    """The tests of which a line names some cases or all."""
    name = line.partition("::")[2].partition("[")[0]
    return {test for test in tests if fnmatch.fnmatchcase(test, name) or test.startswith(f"{name}::")}


def test_every_line_names_a_test() -> None:
    assert [line for line in slow_tests() if not named(line, defined(line.partition("::")[0]))] == []


def test_every_file_keeps_a_quick_test() -> None:
    for file in {line.partition("::")[0] for line in slow_tests()}:
        whole = [line for line in slow_tests() if line.startswith(f"{file}::") and "[" not in line]
        tests = defined(file)
        assert tests - {name for line in whole for name in named(line, tests)}, file


def test_what_is_named() -> None:
    tests = {"test_a", "test_ab", "TestB::test_c", "TestB::test_d"}
    assert named("f.py::test_a", tests) == {"test_a"}
    assert named("f.py::test_a[case-*", tests) == {"test_a"}
    assert named("f.py::TestB", tests) == {"TestB::test_c", "TestB::test_d"}
    assert named("f.py::*::test_c", tests) == {"TestB::test_c"}
    assert named("f.py::test_b", tests) == set()


def test_the_table_of_seconds() -> None:
    first, second = "tests/test_a.py::test_x", "tests/test_b.py::test_y"
    new = f"0.50s setup    {first}\n1.00s call     {first}\n2.00s call     {second}"
    old = f"9.00s call     {first}[1 - 2]\n0.60s call     tests/test_a.py::test_z"
    assert table(new, old).splitlines() == [
        "| file | seconds | tests | seconds before | tests before |",
        "|---|---|---|---|---|",
        "| tests/test_b.py | 2 | 1 | 0 | 0 |",
        "| tests/test_a.py | 2 | 1 | 10 | 2 |",
        "| all | 4 | 2 | 10 | 2 |",
    ]
