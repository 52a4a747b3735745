"""The report: one page that needs nothing, says everything twice (plot and table), and is the same each time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from stream.evaluating.shape import Evaluation, decode
from stream.reporting.drawing import STROKES, draw
from stream.reporting.page import page
from stream.reporting.words import number, table
from tests.stream.evaluating.conftest import evaluated, feed  # noqa: F401 - the same evaluation

VOID = {"meta", "link", "br", "hr", "img"}


class Outline(HTMLParser):
    """Holds a page's elements, and whether each was closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an empty element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Close the newest, which should be this one."""
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def of(self, tag: str) -> Iterator[dict[str, str]]:
        """Give the attributes of each element of a kind."""
        return (attributes for name, attributes in self.elements if name == tag)


@pytest.fixture(scope="module")
def text(evaluated: Path) -> str:  # noqa: F811
    """Give the report's HTML."""
    return (evaluated / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found(evaluated: Path) -> Evaluation:  # noqa: F811
    """Give the evaluation behind it."""
    return decode((evaluated / "evaluation.json").read_bytes())


def test_the_page_is_well_formed_and_every_name_is_used_once(text):
    """Elements close in order; no two have one id; what is referred to is there."""
    outline = Outline(text)
    assert not outline.faults
    assert not outline.open
    ids = Counter(attributes["id"] for _, attributes in outline.elements if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    referred = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)|aria-labelledby="([^"]+)"', text))
    assert {one or two or three for one, two, three in referred} <= ids.keys()


def test_the_page_loads_nothing_and_runs_nothing(text):
    """No script, no address but the names of XML, no style or picture from elsewhere."""
    outline = Outline(text)
    assert not list(outline.of("script"))
    assert not list(outline.of("img"))
    assert {attributes["href"] for attributes in outline.of("link")} == {"data:,"}
    addresses = set(re.findall(r"https?://[^\"'<> ]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]
    assert "@import" not in text


def test_every_plot_is_told_in_words_and_every_table_is_headed(text):
    """Who cannot see a plot hears what is in it; a table's cells belong to a row and a column that are named."""
    outline = Outline(text)
    plots = list(outline.of("svg"))
    assert len(plots) >= 9
    assert all(attributes["role"] == "img" and len(attributes["aria-label"]) > 40 for attributes in plots)
    assert all("aria-labelledby" in attributes for attributes in outline.of("table"))
    assert {attributes["scope"] for attributes in outline.of("th")} == {"col", "row"}
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_page_names_all_that_it_was_made_of(text, found):
    """The digest of the inputs, and each input's own, stand on the page."""
    assert found.made_of_digest in text
    assert found.made_of.sources[0].sha256 in text
    assert found.made_of.code in text
    assert found.digest in text


def test_what_is_told_is_what_was_found(text, found):
    """The learner's figures are in the text as evaluation.json has them, rounded."""
    auroc = found.models[0].discrimination.auroc
    assert f"{number(auroc.value)} ({number(auroc.interval[0])} to {number(auroc.interval[1])})" in text
    for model in found.models:
        assert model.title in text


def test_the_same_evaluation_gives_the_same_page(text, found):
    """Nothing of the clock or of chance is in a page."""
    assert page(found) == text


def test_a_partial_news2_is_said_to_be_one(found):
    """Where no level of consciousness was charted, each reader is told so."""
    assert "NEWS2 here is partial" in page(msgspec.structs.replace(found, news2_is_partial=True))
    assert "NEWS2 here is partial" not in page(msgspec.structs.replace(found, news2_is_partial=False))


def test_that_nothing_is_known_of_ethnicity_is_said_only_where_it_is_so(found):
    """A site that records it has a table of it, and no words beside it that there is none."""
    groups = dict(found.subgroups)
    groups.pop("ethnicity", None)
    some = next(iter(groups.values()))
    unknown = "No ethnicity was recorded"
    assert unknown in page(msgspec.structs.replace(found, subgroups=groups))
    assert unknown not in page(msgspec.structs.replace(found, subgroups={**groups, "ethnicity": some}))


def test_names_from_outside_are_text_and_no_markup(found):
    """A model's name is the operator's, and a ward's the feed's: neither can write into the page."""
    wild = '_<script>alert(1)</script>&" $\\frac$'
    models = tuple(msgspec.structs.replace(model, title=wild) for model in found.models)
    groups = {
        name: tuple(msgspec.structs.replace(group, name=wild) for group in groups)
        for name, groups in found.subgroups.items()
    }
    outline = Outline(page(msgspec.structs.replace(found, models=models, subgroups=groups)))
    assert not outline.faults
    assert not list(outline.of("script"))


def luminance(colour: str) -> float:
    """Give a colour's relative luminance (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", [strokes[0] for strokes in STROKES])
def test_lines_stand_out_from_the_page(colour):
    """Each model's line has the contrast that WCAG asks of text, and so more than it asks of graphics."""
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_lines_differ_without_their_colours():
    """Whoever sees no colour tells models apart by their dashes."""
    assert len({str(dashes) for _, dashes, _ in STROKES}) == len(STROKES)


def test_drawing_is_repeatable_and_dateless():
    """The same numbers give the same SVG."""
    drawn = [draw("twice", "A line.", lambda axes: axes.plot([0, 1], [1, 0], label="a")).svg for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert "<metadata" not in drawn[0]


def test_a_wide_table_can_be_reached_by_keyboard():
    """What scrolls has a name and takes the focus."""
    outline = Outline(table("A table", ("", "n"), [("a", "1")]))
    (region,) = outline.of("div")
    assert region["tabindex"] == "0"
    assert region["role"] == "region"
