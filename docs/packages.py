"""The picture of the packages in docs/internals.md, drawn from the imports: `python docs/packages.py` renews it.

A package is what `import brenier.NAME` gives: a folder or a module of its own. Every import counts, those inside
functions and for the type checker alone as well. Importing `brenier` itself loads nothing, so that it counts for none.
"""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "internals.md"
MARKS = "<!-- packages -->\n", "<!-- end of packages -->\n"

Graph = Mapping[str, set[str]]


def packages(source: Path) -> dict[str, set[str]]:
    """The packages of a folder of Python files, each with those that it imports."""
    files = [path for path in sorted(source.rglob("*.py")) if path != source / "__init__.py"]
    names = {path: path.relative_to(source).with_suffix("").parts[0] for path in files}
    graph: dict[str, set[str]] = {name: set() for name in names.values()}
    for path, name in names.items():
        graph[name] |= set(imported(ast.parse(path.read_text()), source.name)) & graph.keys() - {name}
    return graph


def imported(tree: ast.AST, root: str) -> Iterable[str]:
    """What a module imports of the package `root`: the first name behind it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == root:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from [node.module.split(".")[1]] if node.module.startswith(f"{root}.") else []
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{root}."))


def reached(graph: Graph) -> dict[str, set[str]]:
    """All that each package imports, by way of others as well."""
    closure = {name: set(others) for name, others in graph.items()}
    for way in graph:
        for others in closure.values():
            if way in others:
                others |= closure[way]
    return closure


def untied(graph: Graph) -> dict[str, set[str]]:
    """The same with packages that import each other in a ring as one, `a + b`."""
    closure = reached(graph)
    label = {
        name: " + ".join(sorted({name} | {o for o in others if name in closure[o]})) for name, others in closure.items()
    }
    tied: dict[str, set[str]] = {own: set() for own in label.values()}
    for name, others in graph.items():
        tied[label[name]] |= {label[other] for other in others} - {label[name]}
    return tied


def levels(graph: Graph) -> dict[str, int]:
    """How far up each package stands: one above the highest that it imports; 0 for those that import nothing."""
    closure, level = reached(graph), {}
    for name in sorted(graph, key=lambda name: len(closure[name])):
        level[name] = 1 + max((level[other] for other in graph[name]), default=-1)
    return level


def direct(graph: Graph) -> dict[str, set[str]]:
    """The imports that follow from no others: those by way of another package are left out."""
    closure = reached(graph)
    return {name: {o for o in others if not any(o in closure[way] for way in others)} for name, others in graph.items()}


def picture(graph: Graph) -> str:
    """The packages from top to bottom, a line each, with those right below it."""
    tied = untied(graph)
    level, below = levels(tied), direct(tied)
    width, lines = max(map(len, graph)), []
    for name in sorted(tied, key=lambda name: (-level[name], name)):
        others = ", ".join(sorted(below[name], key=lambda other: (-level[other], other)))
        lines.append(f"{level[name]:2d}  {name:<{width}}  {others}".rstrip())
    arrows, top = sum(map(len, graph.values())), max(level.values())
    count = f"{len(graph)} packages on {top + 1} levels, with {arrows} imports between them"
    return "\n".join(["```text", *lines, "```", "", f"{count}; those that follow from others are not shown."])


def renewed(page: str, graph: Graph) -> str:
    """A page with the picture between its marks."""
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return f"{before}{MARKS[0]}{picture(graph)}\n{MARKS[1]}{after}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(), packages(ROOT / "src" / "brenier")))
