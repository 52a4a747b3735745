"""Small feeds for the tests of conformance, each with one thing wrong."""

from __future__ import annotations

from connectors.hl7v2.codec import decode
from connectors.sources.arrival import Arrival
from stream.conformance.shape import Finding, Report
from stream.conformance.survey import Survey
from stream.settings import Settings

NOW = 1_790_000_000_000
"""2026-09-21: later than every message here."""
GOOD_OBX = (
    "OBX|1|NM|9279-1^Respiratory rate^LN||16|/min|||||F",
    "OBX|2|NM|59408-5^SpO2^LN||97|%|||||F",
    "OBX|3|NM|3150-6^FiO2^LN||21|%|||||F",
    "OBX|4|NM|8480-6^Systolic^LN||120|mm[Hg]|||||F",
    "OBX|5|NM|8867-4^Heart rate^LN||72|/min|||||F",
    "OBX|6|CWE|67775-7^AVPU^LN||LA9340-6^Alert^LN||||||F",
    "OBX|7|NM|8310-5^Temperature^LN||36.8|Cel|||||F",
)


def oru(
    *results: str,
    number: int = 1,
    sent: str = "202603031200+0000",
    observed: str = "202603031155+0000",
    pid: str = "PID|1||42^^^HOSP^MR||Doe^Jane||19500101|F",
    pv1: str = "PV1|1|I|Ward A^1^2^HOSP",
    header: str = "2.5.1||||||UNICODE UTF-8",
) -> bytes:
    """Write a message; without anything else it has nothing to find."""
    lines = (
        f"MSH|^~\\&|MON|HOSP|||{sent}||ORU^R01|M{number}|P|{header}",
        pid, pv1, f"OBR|1||F{number}|X^Panel^L|||{observed}", *(results or GOOD_OBX),
    )  # fmt: skip
    return "\r".join(line for line in lines if line).encode()


def arrivals(*messages: bytes, settings: Settings | None = None, name: str = "feed.hl7") -> list[Arrival]:
    """Decode messages as a file would give them."""
    hl7 = (settings or Settings()).hl7
    decoded = [decode(message, hl7) for message in messages]
    return [
        Arrival(f"{name}#{number}", one.sent_time or 0, data, "hl7v2", one)
        for number, (data, one) in enumerate(zip(messages, decoded, strict=True), 1)
    ]


def surveyed(*messages: bytes, settings: Settings | None = None, identified: bool = False) -> Report:
    """Survey messages."""
    survey = Survey(settings or Settings(), NOW, identified=identified)
    for arrival in arrivals(*messages, settings=settings):
        survey.take(arrival)
    return survey.report(sources=1, skipped=0)


def found(report: Report, name: str) -> Finding:
    """Give the finding of a name; there must be one."""
    [finding] = [one for one in report.findings if one.name == name]
    return finding
