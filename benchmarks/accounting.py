"""Every message of the shared HL7 and FHIR corpora, accounted for: writes `docs/conformance.md`.

Owns the list of corpora, the account and the page. Must not know why a message is refused: the codecs say, and
`justifications.toml` says why that is right. Ends with 1 where a message is unaccounted for, a dead letter has no
justification, or a justification no letter. Run: `make accounting`; the tests compare the page with what it writes.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from connectors.sources import Arrival, SourceSettings, open_source
from connectors.sources.reading import read_messages
from events import Envelope
from stream.causes import cause_of
from stream.conformance import er7, resources
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import DeadLetter, Duplicate, Parser, RecentMessages
from stream.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "conformance.md"
JUSTIFICATIONS = Path(__file__).with_name("justifications.toml")
CORPORA: tuple[tuple[str, str], ...] = (
    ("simhospital", "hl7v2/simhospital"),
    ("linuxforhealth", "hl7v2/linuxforhealth"),
    ("microsoft", "hl7v2/microsoft/messages"),
    ("cosyte", "hl7v2/cosyte"),
    ("v2-to-fhir messages", "v2-to-fhir/samples/messages/Message.hl7_MDM_T02.txt"),
    ("synthea", "fhir/synthea"),
    ("subscriptions", "fhir/subscriptions/r4"),
    ("microsoft as FHIR", "hl7v2/microsoft/expected_fhir"),
    ("v2-to-fhir bundles", "v2-to-fhir/samples/fhir-bundles"),
)
"""Name and folder below the shared data. The ICU data are no messages: docs/real-input.md has them."""

HEADER = """# Conformance

Written by `make accounting`; do not edit. The account below is compared with the code by `make test`.

## Check a feed before go-live

    wardstream conformance sample.hl7 --config wardstream.toml --html report.html --json report.json

A sample is files as `wardstream replay` takes them: HL7 v2 plain, batch-wrapped or MLLP-framed, FHIR resources,
Bundles and NDJSON, packed or not. A day of the real feed is best; a hundred messages tell most. It goes through the
codecs, [parse] and the catalogue of the service, with the site's configuration, and no further. Nothing is scored,
stored or sent.

The report begins with a verdict and a list of findings. **MUST** is to be mended before go-live: values would be
lost, read in a wrong zone, or be nobody's. **SHOULD** is to be looked at. **NOTE** is good to know. Each says what to
do, and in which message it was first seen. Then come the figures:

| table | says |
| --- | --- |
| Messages; Refused, by cause | accepted, duplicates and refused are all; each cause with place, reason and count |
| Senders | rates, the busiest minute, the longest silence, and where the zone of local times comes from |
| Message types, those that hold nothing for us, those refused as not for us | what is there, and what we pass over |
| Inputs of NEWS2 | which of the seven have usable results, for how many patients |
| Codes that are mapped | feature, unit and whether it can be converted, what becomes of the values |
| Codes that are mapped to nothing | by count, with what they may be by name, unit and values |
| Patients; Wards; Assigning authorities | who was observed and lies on no known ward, by whose numbers |
| Local times, Versions, Character sets, Segments, Fields | what the feed is built of, and what of it decides |

A candidate for a code is **never applied**. Somebody who knows the sender's table confirms it and writes it down, or
reviews the list of `wardstream codes suggest` ([terminology.md](terminology.md)):

    [codes."WinPath"]
    "tt-0003-01" = "creatinine"

No name, number, visit, text or single value of a patient is in the report, and files go by their number:
`--identified` names them. Codes, units, names of codes, senders, authorities and wards are told as the feed has them:
a feed that puts a patient's name there would show it. Quantiles are told of ten numbers and more.

Exit codes: 0 nothing must be mended, 3 something must (`--strict`: or should), 1 failed, 2 wrong usage.

What it does not say: whether values are right, whether messages are missing, what a ward system makes of alerts, and
whether the order of messages in the files is the order in which they will come: it reads them by their times. A route
that goes by its port is not taken: files come to none.

## The account of what others wrote

Each message of the shared corpora (docs/real-input.md says what they are) through codec and [parse], with the shipped
configuration. Accepted, duplicates and dead letters are all of them; nothing raised an exception. An entry of a
Bundle is a message.

"""


class Letter(msgspec.Struct, frozen=True, order=True):
    """One dead letter of a corpus, with why it is right."""

    corpus: str
    cause: str
    kind: str
    detail: str
    position: str
    why: str


class Account(msgspec.Struct, frozen=True):
    """What became of one corpus."""

    name: str
    counts: dict[str, int]
    skipped: tuple[str, ...]
    letters: tuple[Letter, ...]


def arrivals(path: Path, settings: SourceSettings) -> tuple[Iterator[Arrival], list[str]]:
    """Open a corpus; a message under a name that is no message's is read as HL7 v2. The list fills with other files."""
    if path.suffix == ".txt":
        stream = path.open("rb")
        return read_messages(path.name, "hl7", stream, settings), []
    source = open_source(str(path), settings)
    skipped: list[str] = []

    def read() -> Iterator[Arrival]:
        yield from source
        skipped.extend(source.skipped)

    return read(), skipped


def account(name: str, path: Path, justify: Justifications) -> Account:
    """Account for one corpus."""
    settings = Settings()
    parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
    counts: Counter[str] = Counter()
    letters: list[Letter] = []
    read, skipped = arrivals(path, SourceSettings(hl7=settings.hl7, fhir=settings.fhir))
    for arrival in read:
        counts["messages"] += 1
        parsed, _known = parser.step(arrival.decoded, arrival.received_time or 0, arrival.position)
        if isinstance(parsed, DeadLetter):
            counts["dead letters"] += 1
            letters.append(_letter(name, arrival, parsed, justify))
        elif isinstance(parsed, Duplicate):
            counts["duplicates"] += 1
        else:
            assert isinstance(parsed, Envelope)
            counts["accepted"] += 1
            counts["of them with nothing for us"] += not parsed.events
    assert counts["messages"] == counts["accepted"] + counts["duplicates"] + counts["dead letters"], name
    return Account(name, dict(counts), tuple(skipped), tuple(sorted(letters)))


def _letter(name: str, arrival: Arrival, letter: DeadLetter, justify: Justifications) -> Letter:
    look = er7.look if arrival.format == "hl7v2" else resources.look
    kind = look(arrival.data or b"").kind or "(no type)"
    cause = str(cause_of(letter.reason, letter.fault))
    why = justify.why(f"{name}/{arrival.position}", cause, kind)
    return Letter(name, cause, kind, letter.detail, arrival.position, why)


class Justifications:
    """Why letters are right, and which of the reasons were needed."""

    def __init__(self, text: str) -> None:
        tables = tomllib.loads(text)
        self._types: dict[str, str] = tables["types"]
        self._causes: dict[str, str] = tables["causes"]
        self._letters: dict[str, str] = tables["letters"]
        self._used: set[str] = set()
        self.missing: list[str] = []

    def why(self, position: str, cause: str, kind: str) -> str:
        """Say why a letter is right: by its own line, by its type where that is why, else by its cause."""
        table, key = (self._letters, position) if position in self._letters else (self._causes, cause)
        if cause.startswith("unsupported_message_type"):
            table, key = self._types, kind
        if key not in table:
            self.missing.append(f"{position}: {cause}, {kind}")
            return "NOT JUSTIFIED"
        self._used.add(key)
        return table[key]

    @property
    def unused(self) -> list[str]:
        """The lines that justify nothing any more."""
        return sorted((self._types.keys() | self._causes.keys() | self._letters.keys()) - self._used)


def page(accounts: list[Account]) -> str:
    """Write the page."""
    columns = ("messages", "accepted", "of them with nothing for us", "duplicates", "dead letters")
    lines = [HEADER, f"| corpus | {' | '.join(columns)} | other files |\n", f"| --- |{' ---: |' * 6}\n"]
    for one in accounts:
        cells = [f"{one.counts.get(column, 0):,}" for column in columns]
        lines.append(f"| {one.name} | {' | '.join(cells)} | {len(one.skipped)} |\n")
    lines.append(
        "\nOther files are licences, readmes, tables as CSV and one FHIR Bundle as XML, which is not read. Accepted "
        "messages with\nnothing for us are FHIR resources of other kinds, orders, and results without a code.\n\n"
        "### By corpus and reason\n\n| corpus | reason and place | type | letters | why that is right |\n"
        "| --- | --- | --- | ---: | --- |\n"
    )
    letters = [letter for one in accounts for letter in one.letters]
    grouped = Counter((one.corpus, one.cause, one.kind, one.why) for one in letters)
    order = {one.name: number for number, one in enumerate(accounts)}
    for (corpus, cause, kind, why), count in sorted(
        grouped.items(), key=lambda item: (order[item[0][0]], -item[1], item[0])
    ):
        lines.append(f"| {corpus} | {cause} | {kind} | {count} | {why} |\n")
    lines.append("\n### Every dead letter\n\n| message | type | reason and place | why that is right |\n")
    lines.append("| --- | --- | --- | --- |\n")
    lines += [
        f"| {one.corpus}/{one.position} | {one.kind} | {one.cause}: {one.detail} | {one.why} |\n" for one in letters
    ]
    return "".join(lines)


def write(data: Path) -> tuple[str, list[str]]:
    """Account for all corpora; give the page and what is wrong with the justifications."""
    justify = Justifications(JUSTIFICATIONS.read_text(encoding="utf-8"))
    accounts = [account(name, data / folder, justify) for name, folder in CORPORA]
    wrong = [f"no justification: {missing}" for missing in justify.missing]
    return page(accounts), wrong + [f"justifies no letter: {unused}" for unused in justify.unused]


def main() -> int:
    """Write the page; end with 1 where something is not justified."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=PAGE)
    chosen = arguments.parse_args()
    text, wrong = write(Path(os.environ.get("WARDSTREAM_DATA", ROOT.parent / "shared" / "data")))
    for line in wrong:
        print(line)
    chosen.out.write_text(text, encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
