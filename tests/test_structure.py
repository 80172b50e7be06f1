"""The package as a newcomer meets it: short files, and imports that go one way."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = (ROOT / "src" / "brenier", ROOT / "bench" / "src" / "brenier_bench")
LONGEST = 400

sys.path.insert(0, str(ROOT / "docs"))
import packages  # noqa: E402 # pyright: ignore


def modules() -> dict[str, Path]:
    """Every module of both distributions by its dotted name."""
    named = {}
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source.parent).with_suffix("").parts
            named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imported_at_once(statements: list[ast.stmt]) -> Iterator[str]:
    """Names that importing these statements imports: not those of functions, nor those for the type checker alone."""
    for node in statements:
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            yield from imported_at_once([*node.body, *node.orelse])
        elif isinstance(node, ast.Try | ast.With | ast.ClassDef):
            yield from imported_at_once(node.body)


def imports(found: dict[str, Path]) -> dict[str, set[str]]:
    """The modules of the package that each module imports."""
    graph = {}
    for name, path in found.items():
        wanted = imported_at_once(ast.parse(path.read_text()).body)
        graph[name] = {(own if own in found else own.rpartition(".")[0]) for own in wanted} & set(found) - {name}
    return graph


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring; none if there is no such ring."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if ring := visit(other, [*path, name]):
                return ring
        done.add(name)
        return []

    return next((ring for name in graph if (ring := visit(name, []))), [])


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert cycle(imports(modules())) == []


MOST_PACKAGES, MOST_LEVELS, MOST_ARROWS, MOST_LINES = 30, 13, 200, 31_200

ORDER = """
cli
demo
report
export
integrations
estimators
maps
certificates density
training
callbacks
checkpoint
conjugates
geometry
conditions hamilton_jacobi
costs files
metrics
data
potentials solvers
_cache _chunks _processes _products
_states _types _words
_errors
"""
"""Packages and loose modules from the top down; each imports from lines below its own only."""


@pytest.fixture(scope="module")
def house() -> dict[str, set[str]]:
    graph = packages.packages(SOURCES[0])
    return {name: others for name, others in graph.items() if name != "__main__"}


def test_no_package_imports_itself_by_way_of_others(house: dict[str, set[str]]) -> None:
    assert [name for name in packages.untied(house) if " + " in name] == []


def test_imports_between_packages_go_down_the_list(house: dict[str, set[str]]) -> None:
    """Those inside functions and for the type checker alone count, too."""
    place = {name: number for number, line in enumerate(ORDER.splitlines()) for name in line.split()}
    assert set(house) == set(place)
    assert [(name, low) for name in house for low in house[name] if place[low] <= place[name]] == []


def test_the_house_stays_small(house: dict[str, set[str]]) -> None:
    assert len(house) <= MOST_PACKAGES
    assert 1 + max(packages.levels(house).values()) <= MOST_LEVELS
    assert sum(map(len, house.values())) <= MOST_ARROWS
    assert sum(len(path.read_text().splitlines()) for path in SOURCES[0].rglob("*.py")) <= MOST_LINES


def test_the_library_does_not_know_its_benchmarks() -> None:
    assert [path for path in SOURCES[0].rglob("*.py") if "brenier_bench" in path.read_text()] == []


def test_rings_are_found() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert imported_at_once(ast.parse("def f():\n    import brenier.maps").body)
    assert list(imported_at_once(ast.parse("if x:\n    from brenier import maps").body)) == ["brenier.maps"]


def test_files_stay_short() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lengths.items() if count > LONGEST} == {}


def test_every_module_says_what_it_is_and_what_it_offers() -> None:
    trees = {name: ast.parse(path.read_text()) for name, path in modules().items()}
    assert [name for name, tree in trees.items() if not ast.get_docstring(tree)] == []
    offered = {
        name: any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in tree.body)
        for name, tree in trees.items()
    }
    programs = {"brenier.__main__", "brenier_bench.worker"}
    assert [name for name, own in offered.items() if not own and trees[name].body[1:] and name not in programs] == []


DOORS = {
    "h5py.File": {"files/hdf5.py"},
    "zarr.open_array": {"files/zarr_store.py"},
    "zarr.open_group": {"files/zarr_store.py"},
}
"""What opens or decodes a stranger's array, and the one file that may call it; all else of this kind is nobody's."""

OPENS = re.compile(
    r"h5py\.(File|\w+Driver)|zarr\.(open|load|create|group|save|consolidate|Array|Group|storage)\w*|zarr\.\w+\.open\w*"
    r"|(anndata|ad|anndata.io|io)\.(read|sparse_dataset)\w*|(np|numpy)\.(load|fromregex|genfromtxt)|\w*pickle\.(load|loads|Unpickler)"
    r"|joblib\.load|(pd|pandas)\.read_\w+|numcodecs\.\w+|marshal\.loads?|shelve\.open"
)


def calls(tree: ast.AST) -> set[str]:
    """What a module calls, by its full name as it is written there, names that were imported from elsewhere in full."""
    full = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    written = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        full.get(name.partition(".")[0], name.partition(".")[0]) + name[len(name.partition(".")[0]) :]
        for name in written
    }


def opened(text: str) -> set[str]:
    return {name for name in calls(ast.parse(text)) if OPENS.fullmatch(name)}


def test_arrays_of_strangers_come_in_by_one_door() -> None:
    paths = [path for name, path in modules().items() if name.startswith("brenier.")]
    found = {path.relative_to(SOURCES[0]).as_posix(): opened(path.read_text()) for path in paths}
    strays = {(name, path) for path, names in found.items() for name in names if path not in DOORS.get(name, ())}
    assert strays == set()
    assert {name for names in found.values() for name in names} == set(DOORS)


def test_other_doors_are_found() -> None:
    assert opened("import h5py\nwith h5py.File(x) as f: pass") == {"h5py.File"}
    assert opened("from h5py import File as F\nF(x)") == {"h5py.File"}
    assert opened("from anndata import io\nio.read_elem(x)\nio.write_elem(x)") == {"anndata.io.read_elem"}
    assert opened("import numpy as np\nnp.load(x)\nnp.loadtxt(x)") == {"np.load"}
    assert opened("import pickle, zarr\npickle.loads(x)\nzarr.open(x)") == {"pickle.loads", "zarr.open"}


def test_one_function_counts_the_calls_between_a_warning_and_the_user() -> None:
    users = [name for name, path in modules().items() if "stacklevel" in path.read_text()]
    assert users == ["brenier._errors"]


def test_importing_the_package_loads_its_errors_and_nothing_else() -> None:
    code = """
import sys
before = set(sys.modules)
import brenier
loaded = set(sys.modules) - before
print(*sorted(name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names))
"""
    said = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert said == ["brenier", "brenier._errors"]
