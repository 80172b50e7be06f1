"""The report in a browser: it asks for nothing, and all is seen, wide and narrow, light and dark, and on paper."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brenier import BrenierMap, ConvergenceWarning
from brenier.report import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which drives the browser")

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path: `make browser` installs it")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

LEAST_CONTRAST = 4.5
"""Of text, WCAG 2.2, success criterion 1.4.3."""

CONTRAST = """
() => {
  const parse = text => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, below) => top.slice(0, 3).map((own, k) => own * top[3] + below[k] * (1 - top[3]));
  const light = colour => {
    const linear = own => own <= 0.04045 ? own / 12.92 : ((own + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = colour.map(own => linear(own / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const layers = [];
    for (let own = element; own; own = own.parentElement) layers.push(parse(getComputedStyle(own).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const words = [...element.childNodes].some(own => own.nodeType === 3 && own.textContent.trim());
    if (!words || ["title", "desc", "style"].includes(element.tagName) || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const paper = behind(element);
    const ink = over(parse(element.tagName === "text" ? style.fill : style.color), paper);
    const [low, high] = [light(ink), light(paper)].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), element.tagName, element.textContent.trim().slice(0, 40)]);
  }
  return found;
}
"""

BOXES = """
() => [...document.querySelectorAll("figure svg, figure img")].map(own => {
  const box = own.getBoundingClientRect();
  return {left: box.left, right: box.right, width: box.width, height: box.height, shown: own.naturalWidth !== 0};
})
"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every kind of figure but those of conditions and densities: long names, pictures, many rows."""
    rng = np.random.default_rng(0)
    source = rng.integers(0, 120, (60, 90, 3), dtype=np.uint8)
    other = rng.integers(90, 255, (50, 40, 3), dtype=np.uint8)
    X, Y = (own.reshape(-1, 3) / 255.0 for own in (source, other))
    with pytest.warns(ConvergenceWarning, match="too few samples"):
        ot = BrenierMap(random_state=0).fit(X[:60], Y[:60])
    columns = ("red", "a_column_whose_name_is_far_too_long_for_any_telephone_" * 3, "blue")
    history = {"step": [1, 2], "dual": [0.1, 0.2], "gain": [0.01, 0.1], "error": [0.01, 0.02]}
    history |= {"unconverged": [0.1, 0.0], "evaluations": [2.0, 2.0], "rate": [0.1, 0.0], "best": [True, True]}
    map_ = type(ot.map_)(ot.map_.geometry, ot.map_.potential, None, columns, {**ot.map_.info, "history": history})
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(
        map_, X[:700], Y[:700], path, images=(source, other), names=("source_" * 12, "target"), command="x " * 99
    )
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield own
        own.close()


class Opened:
    """A page, and what went wrong while it was opened."""

    def __init__(self, browser: Any, file: Path, width: int = 1200, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda own: self.requests.append(own.url))
        self.page.on("requestfailed", lambda own: self.problems.append(f"failed: {own.url[:80]}"))
        self.page.on("console", lambda own: self.problems.append(own.text))
        self.page.on("pageerror", lambda own: self.problems.append(str(own)))
        self.page.goto(file.as_uri(), wait_until="load")

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    @property
    def asked(self) -> list[str]:
        """What was asked for besides the file itself and what it holds."""
        return [url for url in self.requests[1:] if not url.startswith("data:")]

    def worst_contrast(self) -> list[Any]:
        return min(self.page.evaluate(CONTRAST))

    def boxes(self) -> list[dict[str, Any]]:
        return self.page.evaluate(BOXES)

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        root = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.body.scrollWidth, window.innerWidth]"
        )
        return max(root[:2]) - root[2]


def altered(file: Path, folder: Path, old: str, new: str) -> Path:
    """The same page with something broken."""
    text = file.read_text()
    assert old in text
    path = folder / "broken.html"
    path.write_text(text.replace(old, new))
    return path


def test_asks_for_nothing(browser: Any, page_file: Path) -> None:
    with Opened(browser, page_file) as opened:
        assert opened.requests[0] == page_file.as_uri()
        assert opened.asked == []
        assert opened.problems == []


def test_broken_pages_are_noticed(browser: Any, page_file: Path, tmp_path: Path) -> None:
    """The checks of this file fail where they should."""
    image = '<img src="https://localhost:1/x.png" alt="x"></body>'
    with Opened(browser, altered(page_file, tmp_path, "</body>", image)) as opened:
        # Refused by the page's own policy, or asked for in vain.
        assert opened.asked or opened.problems
    with Opened(browser, altered(page_file, tmp_path, "</body>", "<script>throw Error()</script></body>")) as opened:
        assert opened.problems
    with Opened(browser, altered(page_file, tmp_path, "--quiet: #a9afba", "--quiet: #555"), scheme="dark") as opened:
        assert opened.worst_contrast()[0] < LEAST_CONTRAST
    with Opened(browser, altered(page_file, tmp_path, "overflow-wrap: anywhere", "--x: 0"), width=360) as opened:
        assert opened.overflow() > 0
    with Opened(browser, altered(page_file, tmp_path, ".panel svg,", ".panel svg { height: 0 } .x,")) as opened:
        assert min(box["height"] for box in opened.boxes()) == 0


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_every_figure_is_seen(browser: Any, page_file: Path, width: int) -> None:
    with Opened(browser, page_file, width) as opened:
        boxes = opened.boxes()
        text = page_file.read_text()
        assert len(boxes) == len(re.findall(r"<svg |<img ", text)) >= 16
        for box in boxes:
            assert box["shown"]
            assert box["width"] >= 150
            assert box["height"] >= 60
            assert box["left"] >= 0
            assert box["right"] <= width


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_no_sideways_scrolling(browser: Any, page_file: Path, width: int) -> None:
    with Opened(browser, page_file, width) as opened:
        assert opened.overflow() == 0


def test_text_is_large_enough_on_telephones(browser: Any, page_file: Path) -> None:
    with Opened(browser, page_file, 360) as opened:
        heights = opened.page.evaluate(
            "[...document.querySelectorAll('svg text')].map(own => parseFloat(getComputedStyle(own).fontSize)"
            " * own.ownerSVGElement.getBoundingClientRect().width / own.ownerSVGElement.viewBox.baseVal.width)"
        )
        assert min(heights) >= 10.0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Any, page_file: Path, scheme: str) -> None:
    with Opened(browser, page_file, scheme=scheme) as opened:
        worst = opened.worst_contrast()
        assert worst[0] >= LEAST_CONTRAST, worst
        paper = opened.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper))) < 200) == (scheme == "dark")
        assert len(opened.page.evaluate(CONTRAST)) > 100


def test_figures_follow_the_scheme(browser: Any, page_file: Path) -> None:
    fills = []
    for scheme in ("light", "dark"):
        with Opened(browser, page_file, scheme=scheme) as opened:
            fills.append(opened.page.evaluate("getComputedStyle(document.querySelector('svg text')).fill"))
    assert fills[0] != fills[1]


def test_prints(browser: Any, page_file: Path, tmp_path: Path) -> None:
    with Opened(browser, page_file, scheme="dark") as opened:
        opened.page.pdf(path=tmp_path / "r.pdf", prefer_css_page_size=True)
        opened.page.emulate_media(media="print")
        assert (
            opened.page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        )
        assert opened.worst_contrast()[0] >= LEAST_CONTRAST
        assert not opened.page.locator("nav").is_visible()
        # Nothing is hidden behind scroll bars.
        hidden = opened.page.evaluate(
            "[...document.querySelectorAll('.scroll')].map(own => own.scrollHeight - own.clientHeight)"
        )
        assert max(hidden) <= 1
    content = (tmp_path / "r.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert 3 <= pages <= 14


def test_pictures_before_and_after(browser: Any, page_file: Path) -> None:
    with Opened(browser, page_file) as opened:
        shown = opened.page.evaluate(
            "[...document.querySelectorAll('#pictures img')].map(own => [own.naturalWidth, own.naturalHeight, own.alt])"
        )
    assert [own[:2] for own in shown] == [[90, 60], [90, 60], [40, 50]]
    assert all(own[2] for own in shown)


def test_tables_can_be_scrolled_with_the_keyboard(browser: Any, page_file: Path) -> None:
    with Opened(browser, page_file, 360) as opened:
        wide = opened.page.evaluate(
            "[...document.querySelectorAll('.scroll')].filter(own => own.scrollWidth > own.clientWidth).map(own => "
            "own.tabIndex)"
        )
        assert wide
        assert set(wide) == {0}
