"""Where good practice is met, as a page: docs/evidence.md is written from docs/evidence/items.toml, and held to it.

Owns reading the lists and the page. Must not know whether a claim is true: it checks that what a claim names is there.

Run: `python -m tests.evidence.page > docs/evidence.md`
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from tests.safety.page import leads_somewhere as leads_to_code

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "docs" / "evidence" / "items.toml"
PAGE = ROOT / "docs" / "evidence.md"
ITEMS_REQUIRED = {"GMLP": 10, "TRIPOD+AI": 27, "DECIDE-AI": 17}
"""So many items has each list."""

HEAD = """# Evidence: where good practice is met

Written from `docs/evidence/items.toml` by `python -m tests.evidence.page`; do not edit. A link that leads nowhere fails
CI. The items are in our words; the lists' own are what counts. **met**: what is linked shows it. **partly**: what is
lacking stands beside it. **study**: only a clinical evaluation at a site can meet it, and there has been none.
"""

Status = Literal["met", "partly", "study"]


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a list asks, and where it is met."""

    id: str
    item: str
    status: Status
    how: str
    where: tuple[str, ...]
    lacks: str = ""


class Checklist(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One list."""

    id: str
    title: str
    source: str
    item: tuple[Item, ...]


class Lists(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    list: tuple[Checklist, ...]


def read_lists(path: Path = LISTS) -> tuple[Checklist, ...]:
    """Read the lists; raises `msgspec.ValidationError` with the place of what is wrong."""
    return msgspec.convert(tomllib.loads(path.read_text()), Lists).list


def faults(lists: tuple[Checklist, ...]) -> Iterator[str]:
    """Name every item that is missing, claims without a link, lacks without a word, and links that lead nowhere."""
    for one in lists:
        wanted = [str(number) for number in range(1, ITEMS_REQUIRED.get(one.id, 0) + 1)]
        if [item.id for item in one.item] != wanted:
            yield f"{one.id}: its items are {wanted}"
        for item in one.item:
            if item.status != "study" and not item.where:
                yield f"{one.id} {item.id}: {item.status}, and nothing shows it"
            if bool(item.lacks) == (item.status == "met"):
                yield f"{one.id} {item.id}: {item.status}, and lacks {item.lacks or 'nothing'}"
            yield from (f"{one.id} {item.id}: {link} is not there" for link in item.where if not leads_somewhere(link))


def leads_somewhere(link: str) -> bool:
    """Whether a page, a heading, a file, a piece of code or a test that a link names is there.

    >>> leads_somewhere("docs/safety.md#h01"), leads_somewhere("docs/safety.md#none"), leads_somewhere("no/such.py")
    (True, False, False)
    """
    path, _, heading = link.partition("#")
    if heading:
        return heading in _headings(ROOT / path)
    return (ROOT / link).is_file() if ":" not in link else leads_to_code(link)


@cache
def _headings(path: Path) -> frozenset[str]:
    """Give the anchors of a page's headings, as a forge makes them."""
    if not path.is_file():
        return frozenset()
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles)


def _linked(link: str) -> str:
    path, _, name = link.replace("::", ":").partition(":")
    page = path.partition("#")[0]
    return f"[{name or Path(page).name}](../{path})"


def evidence_page(lists: tuple[Checklist, ...]) -> str:
    """Write the page."""
    lines = [HEAD, "| list | items | met | partly | study |", "| --- | --: | --: | --: | --: |"]
    for one in lists:
        count = Counter(item.status for item in one.item)
        lines.append(f"| {one.title} | {len(one.item)} | {count['met']} | {count['partly']} | {count['study']} |")
    for one in lists:
        lines += ["", f"## {one.title} ({one.id})", "", f"{one.source}.", ""]
        lines += ["| | asked | | how | lacking | where |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [
            f"| {item.id} | {item.item} | {item.status} | {item.how} | {item.lacks} |"
            f" {', '.join(map(_linked, item.where))} |"
            for item in one.item
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(evidence_page(read_lists()))
