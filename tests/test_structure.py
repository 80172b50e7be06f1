"""The package as a newcomer meets it: short files, and imports that go one way."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "brenier"
LONGEST = 400


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ["brenier", *path.relative_to(SOURCE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


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
    programs = {"brenier.__main__", "brenier.bench.worker"}
    assert [name for name, own in offered.items() if not own and trees[name].body[1:] and name not in programs] == []


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
