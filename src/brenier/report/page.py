"""What a page is made of, and the template that writes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

__all__ = ["Fact", "Figure", "Page", "Panel", "Section", "Table", "render"]


@dataclass(frozen=True)
class Fact:
    """One number of a section.

    Attributes:
        label: What it is.
        value: The number, written out.
        meaning: How to read it, in one line.
        poor: Whether to mark it as a reason to worry.
    """

    label: str
    value: str
    meaning: str = ""
    poor: bool = False


@dataclass(frozen=True)
class Table:
    """A table of a section.

    Attributes:
        caption: What its rows are.
        header: Names of the columns; the first one is that of the rows.
        rows: Cells, written out.
        wide: Columns, by number, whose cells are text.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    wide: Sequence[int] = (0,)


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Attributes:
        markup: An `<svg>` element with its own title and description; trusted, and not escaped. Empty for pictures.
        title: What stands above it.
        picture: A data URI instead, for photographs.
        alt: What it shows, in words.
    """

    title: str
    alt: str
    markup: str = ""
    picture: str = ""


@dataclass(frozen=True)
class Figure:
    """Pictures that belong together, with one caption.

    Attributes:
        panels: The pictures.
        caption: What is seen, and how to read it.
        legend: Pairs of the name of a colour (`source`, `image`, `target`, ...) and what is drawn in it.
        wide: Whether at most two panels stand in a row.
    """

    panels: Sequence[Panel]
    caption: str
    legend: Sequence[tuple[str, str]] = ()
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Attributes:
        key: Its anchor in links.
        title: Its heading.
        text: Paragraphs.
        facts: Numbers.
        notes: What a reader should know; each stands out.
        figures: Pictures.
        tables: Tables, after the pictures.
        code: A command to repeat the work, if there is one.
    """

    key: str
    title: str
    text: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    notes: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    code: str | None = None


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: Its title.
        subtitle: What was compared, in numbers.
        verdict: The answer, one sentence.
        warnings: What limits every number on the page.
        sections: The parts, in order.
        version: Version of brenier that wrote it.
    """

    title: str
    subtitle: str
    verdict: str
    warnings: Sequence[str]
    sections: Sequence[Section] = field(default_factory=tuple)
    version: str = ""


def render(page: Page) -> str:
    """The page as one HTML document that loads no other file. All text is escaped."""
    folder = files("brenier.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    return template.render(page=page, style=(folder / "page.css").read_text(encoding="utf-8"))
