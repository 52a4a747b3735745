"""A story from its YAML, strictly: what is unknown, doubled or contradictory is refused with its file and line.

Owns the YAML that is read and the way from a fault to its line. Must not know what makes a story sensible
(`stream.scenarios.sense`). Only the safe constructors are used, and less of YAML than PyYAML reads: `+1:10` is no
number of seconds and `on` no truth value here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from stream.scenarios.faults import PlaceError, StoryError
from stream.scenarios.sense import check_sense
from stream.scenarios.words import Story

STORY_BYTES_MAX = 256 * 1024
"""A longer file is no story that somebody reads."""

_MOMENT = "expected a time since the start, such as `+0:10`"
_PATTERNS = {
    "start": "expected the ward's clock, such as `2025-03-03 08:00`",
    "taken": "expected a time since the start, such as `+0:10`, or the ward's clock, such as `2025-03-03 08:00`",
    "shows": "expected what is shown, such as `pains.1`, `filter.scope.under_16` or `topic.merge`",
}
"""What was meant where a text has another form, by the word it stands under."""
Place = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """YAML's safe loader with YAML 1.2's plain values, and no anchors: a story is read from top to bottom."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way; filled below

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: one line must not stand for a thousand."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("null", r"^(?:null|~|)$", "n~\0"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?[0-9]+\.[0-9]+$", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def read_story(path: Path) -> Story:
    """Read a story's file; raises `StoryError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise StoryError(path.name, 1, "", "not UTF-8") from None
    return parse_story(text, path.name)


def parse_story(text: str, name: str = "story.yaml") -> Story:
    r"""Read a story's text; raises `StoryError` naming the line.

    >>> parse_story("title: A\nstart: today\n", "a.yaml")
    Traceback (most recent call last):
    stream.scenarios.faults.StoryError: a.yaml, line 2: start: expected the ward's clock, such as `2025-03-03 08:00`
    """
    document, lines = parse_document(text, name)
    try:
        story = msgspec.convert(document, Story)
        check_sense(story)
    except msgspec.ValidationError as error:
        raise _explained(str(error), document, lines, name) from None
    except PlaceError as fault:
        raise StoryError(name, _line(fault.place, lines), _written(fault.place), fault.words) from None
    return story


def parse_document(text: str, name: str) -> tuple[Any, dict[Place, int]]:
    """Read YAML's plain values, and the line of each; raises `StoryError`.

    >>> parse_document("at: +1:10", "a.yaml")[0]
    {'at': '+1:10'}
    """
    if len(text) > STORY_BYTES_MAX:
        raise StoryError(name, 1, "", f"longer than {STORY_BYTES_MAX} characters")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            document = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise StoryError(name, line, "", error.problem or "no YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise StoryError(name, 1, "", f"no YAML: {type(error).__name__}") from None
    lines: dict[Place, int] = {(): 1}
    if node is not None:
        _note(node, (), lines, name)
    return document, lines


def _note(node: yaml.Node, place: Place, lines: dict[Place, int], name: str) -> None:
    """Note the line of everything, and refuse a key that comes twice: the first would be lost unseen."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value)
            if inner in lines:
                raise StoryError(name, key.start_mark.line + 1, _written(inner), "stands here twice")
            lines[inner] = key.start_mark.line + 1
            _note(value, inner, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _note(value, (*place, number), lines, name)


def _explained(fault: str, document: Any, lines: dict[Place, int], name: str) -> StoryError:
    """Say what msgspec found, with its line."""
    words, _, path = fault.partition(" - at `$")
    place: Place = ()
    for key, number in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path.rstrip("`")):
        if number == "...":
            place = (*place, _key_at_fault(document, place))
        else:
            place = (*place, int(number) if number else key)
    if "matching regex" in words:
        words = _PATTERNS.get(str(next((part for part in reversed(place) if isinstance(part, str)), "")), _MOMENT)
    unknown = re.search(r"unknown field `([^`]+)`", words)
    if unknown is not None:
        place, words = (*place, unknown.group(1)), "is not a word of a story"
    return StoryError(name, _line(place, lines), _written(place), words)


def _key_at_fault(document: Any, place: Place) -> str:
    """Find which key of a mapping is at fault, where msgspec does not say: the one that is wrong by itself."""
    for key, value in _at(document, place).items():
        try:
            msgspec.convert(_put(document, place, {key: value}), Story)
        except msgspec.ValidationError as error:
            if "[...]" in str(error):
                return str(key)
    return ""


def _at(node: Any, place: Place) -> Any:
    for part in place:
        node = node[part]
    return node


def _put(node: Any, place: Place, value: Any) -> Any:
    """Give a document with another value at a place."""
    if not place:
        return value
    part, rest = place[0], place[1:]
    if isinstance(node, dict):
        return {key: _put(inner, rest, value) if key == part else inner for key, inner in node.items()}
    return [_put(inner, rest, value) if number == part else inner for number, inner in enumerate(node)]


def _line(place: Place, lines: dict[Place, int]) -> int:
    while place not in lines:
        place = place[:-1]
    return lines[place]


def _written(place: Place) -> str:
    """Write a place as people count: the first step is step 1."""
    return " ".join(str(part + 1) if isinstance(part, int) else part for part in place)
