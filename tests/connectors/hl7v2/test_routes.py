"""Claims about routes: which one a message takes, and what it changes of the reading."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.hl7v2.acknowledgement import acknowledge, code_of
from connectors.hl7v2.charset import CODECS
from connectors.hl7v2.codec import decode
from connectors.hl7v2.routes import NO_ROUTE, Route, check_routes, route_of
from connectors.hl7v2.settings import Hl7Settings
from connectors.hl7v2.strictness import STRICT

HOUR_MS = 3_600_000


def message(
    *,
    sender: bytes = b"LAB|MAIN",
    marks: bytes = b"^~\\&",
    time: bytes = b"20260110120000",
    version: bytes = b"2.5.1",
    rest: bytes = b"",
    code: bytes = b"8867-4^Heart rate^LN",
    patient: bytes = b"42",
    when: bytes = b"20260110115900",
    unit: bytes = b"/min",
    status: bytes = b"F",
) -> bytes:
    """Render a result."""
    return b"\r".join(
        [
            b"MSH|" + marks + b"|" + sender + b"|||" + time + b"||ORU^R01|7|P|" + version + rest,
            b"PID|1||" + patient,
            b"OBR|1||F1",
            b"OBX|1|NM|" + code + b"||72|" + unit + b"|||||" + status + b"|||" + when,
            b"",
        ]
    )


def routed(data: bytes, *routes: Route, port: int = 0, **settings: Any) -> Decoded | Refusal:
    """Decode by routes."""
    return decode(data, Hl7Settings(routes=routes, **settings), port)


def used(data: bytes, *routes: Route, port: int = 0, **settings: Any) -> Decoded:
    """Decode what can be used."""
    decoded = routed(data, *routes, port=port, **settings)
    assert isinstance(decoded, Decoded), decoded
    return decoded


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\xef\xbb\xbf", b" \xef\xbb\xbf\r"])
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_message_is_answered_by_the_route_it_is_read_by(before: bytes, end: bytes) -> None:
    """What stands before MSH, a byte order mark too, and how lines end makes no other route of the answer's."""
    route = Route("lab", sender="LAB|MAIN", zone="Asia/Tokyo", acknowledgement="original")
    data = before + message(rest=b"|||NE|NE").replace(b"\r", end)
    assert used(data, route).event_time == used(message(), route).event_time
    assert not Hl7Settings(routes=(route,)).answers_as_asked(data)


def test_without_a_route_nothing_changes() -> None:
    """A route for others changes nothing of a message."""
    assert used(message(), Route("other", sender="PAS|*", zone="Asia/Tokyo")) == used(message())


@pytest.mark.parametrize(
    ("route", "port", "taken"),
    [
        ({"sender": "LAB|MAIN"}, 0, True),
        ({"sender": "LAB|*"}, 2575, True),
        ({"sender": "*|MAIN"}, 0, True),
        ({"sender": "LAB|OTHER"}, 0, False),
        ({"sender": "LA|MAIN"}, 0, False),
        ({"port": 2576}, 2576, True),
        ({"port": 2576}, 0, False),
        ({"port": 2576, "sender": "LAB|*"}, 2576, True),
        ({"port": 2576, "sender": "PAS|*"}, 2576, False),
        ({"port": 2576, "sender": "LAB|*"}, 2575, False),
    ],
)
def test_which_messages_a_route_takes(route: dict[str, Any], port: int, taken: bool) -> None:  # noqa: FBT001
    """A route takes what comes to its port and of its sender, by first components and whole words, both where both."""
    data = message(sender=b"LAB^1.2.3^ISO|MAIN^x")
    assert (route_of(data, [Route("r", **route)], port).name == "r") is taken


def test_the_first_route_holds() -> None:
    """Of several that fit, the first in the configuration is taken."""
    routes = (Route("one", sender="LAB|MAIN", zone="Asia/Tokyo"), Route("all", sender="LAB|*", zone="Europe/Paris"))
    assert used(message(), *routes).event_time == used(message(), zone="Asia/Tokyo").event_time
    other = message(sender=b"LAB|WEST")
    assert used(other, *routes).event_time == used(other, zone="Europe/Paris").event_time


def test_a_route_s_zone_is_stronger_than_all_others() -> None:
    """Its zone holds before the feed's, MSH-7's offset and the default; an offset in the time itself holds always."""
    tokyo = Route("r", sender="LAB|*", zone="Asia/Tokyo")
    noon = used(message(), zone="UTC").event_time
    assert noon is not None
    for data, settings in (
        (message(), {}),
        (message(), {"zones": {"LAB|MAIN": "Europe/Paris"}}),
        (message(time=b"20260110120000+0100"), {}),
    ):
        assert used(data, tokyo, **settings).event_time == noon - 9 * HOUR_MS
    assert used(message(when=b"20260110115900+0000"), tokyo).event_time == noon


def test_a_route_s_authority() -> None:
    """Identifiers without an authority are of the route's, before the feed's configured one; a named one stays."""
    route = Route("r", port=2576, authority="CLINIC")
    settings = {"authorities": {"LAB|MAIN": "MRN"}}
    assert used(message(), route, port=2576, **settings).subject == (Identifier("CLINIC", "42"),)
    assert used(message(), route, port=2575, **settings).subject == (Identifier("MRN", "42"),)
    assert used(message(patient=b"42^^^HOSP"), route, port=2576).subject == (Identifier("HOSP", "42"),)


def test_a_route_s_codes() -> None:
    """Codings of no standard system are of the route's table, whatever the sender calls it; LOINC stays LOINC."""
    route = Route("r", sender="LAB|*", codes="ICU")
    for system in (b"L", b"", b"99ABC", b"SIMHOSP"):
        event = used(message(code=b"HR^Pulse^" + system + b"^8867-4^Heart rate^LN"), route).events[0]
        assert event.codings == (("ICU", "HR"), ("loinc", "8867-4"))  # type: ignore[union-attr]
    plain = used(message(code=b"HR^Pulse^L"), Route("o", sender="PAS|*", codes="ICU")).events[0]
    assert plain.codings == (("L", "HR"),)  # type: ignore[union-attr]


@pytest.mark.parametrize("marks", [b"", b"^~\\&x", b"^^^^", b"^~", b"?!#$"])
def test_a_route_s_delimiters(marks: bytes) -> None:
    """A sender whose MSH-2 is empty, spoilt or wrong is read by the route's; else he is refused or misread."""
    route = Route("r", sender="LAB|MAIN", delimiters="^~\\&")
    data = message(marks=marks, patient=b"42^^^HOSP")
    assert used(data, route).subject == (Identifier("HOSP", "42"),)
    assert used(data, route).events == used(message(patient=b"42^^^HOSP")).events
    bare = routed(data)
    assert isinstance(bare, Refusal) or bare.subject != (Identifier("HOSP", "42"),)


def test_a_route_s_versions() -> None:
    """A route may read versions that the others do not, and none that it does not name."""
    route = Route("r", sender="LAB|*", accepted_versions=frozenset({"2.10"}))
    assert used(message(version=b"2.10"), route)
    for data, routes in ((message(version=b"2.10"), ()), (message(), (route,))):
        refusal = routed(data, *routes)
        assert isinstance(refusal, Refusal)
        assert refusal.reason is RefusalReason.UNSUPPORTED_VERSION


@pytest.mark.parametrize("name", ["8859/1", "8859/15", "UNICODE UTF-8"])
def test_a_route_s_character_set(name: str) -> None:
    """Where MSH-18 says nothing, or ASCII and is wrong, the route's set holds, and nothing is guessed."""
    route = Route("r", sender="LAB|*", charset=name)
    unit = "µmol/L".encode(CODECS[name])
    for rest in (b"", b"||||||", b"||||||ASCII", b'||||||""'):
        decoded = used(message(unit=unit, rest=rest), route)
        assert decoded.events[0].unit == "µmol/L"  # type: ignore[union-attr]
        assert "charset_guessed" not in decoded.notes
    assert "charset_guessed" in used(message(unit=unit)).notes


def test_msh_18_is_stronger_than_the_route() -> None:
    """What MSH-18 names holds; bytes that are not what the route names are refused at their place."""
    route = Route("r", sender="LAB|*", charset="UNICODE UTF-8")
    data = message(unit="µmol/L".encode("latin-1"), rest=b"||||||8859/1")
    assert used(data, route).events[0].unit == "µmol/L"  # type: ignore[union-attr]
    refusal = routed(message(unit="µmol/L".encode("latin-1")), route)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.detail) == (
        RefusalReason.WRONG_ENCODING,
        "bytes are not utf-8, which the route names",
    )


@pytest.mark.parametrize(
    ("field", "refused"),
    [
        (b"ASCII", False),
        (b"8859/1", False),
        (b"8859/15", False),
        (b"UNICODE UTF-8", False),
        (b"~8859/1", False),
        (b"8859/1~8859/15", False),
        (b"ISO IR87", True),
        (b"~ISO IR87", True),
        (b"8859/1~ISO IR159", True),
        (b"WINDOWS-1252", True),
        (b"UNICODE UTF-16", True),
        (b"GB 18030-2000", True),
    ],
)
def test_which_character_sets_are_read(field: bytes, refused: bool) -> None:  # noqa: FBT001
    """A set that we do not read, first or repeated, is refused by AR at MSH-18, though every byte is ASCII."""
    data = message(rest=b"||||||" + field)
    result = routed(data)
    assert isinstance(result, Refusal) is refused
    if isinstance(result, Refusal):
        ack = acknowledge(data, result, now=0, control_id="1")
        assert code_of(ack) == "AR"
        assert b"ERR||MSH^1^18^1|103^Table value not found^HL70357|E||||a character set that is not supported" in ack


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (message(version=b""), "version_absent"),
        (message(unit="µ".encode()), "charset_guessed"),
        (message(marks=b"^~\\\\&"), "msh2_escape_doubled"),
        (message(when=b""), "time_from_message"),
        (message(when=b"2026011011"), "time_not_exact"),
        (message(code=b""), "obx3_missing"),
        (message(status=b"Q"), "obx11_unknown"),
        (message().replace(b"|NM|", b"||"), "obx2_empty"),
    ],
)
def test_a_strict_route_refuses_what_others_note(data: bytes, note: str) -> None:
    """What is noted and survived of others is refused of a strict sender, by its reason and place."""
    assert note in used(data, Route("r", sender="LAB|*")).notes
    refusal = routed(data, Route("r", sender="LAB|*", strict=True))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position, refusal.detail) == STRICT[note]
    assert (refusal.message_id, refusal.feed) == ("7", "LAB|MAIN")


def test_a_strict_route_takes_what_has_no_note() -> None:
    """A message in order passes a strict route as it is."""
    assert used(message(), Route("r", sender="LAB|*", strict=True)) == used(message())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([{"name": "a"}], 'routes."a": names neither port nor sender'),
        ([{"name": "a", "sender": "LAB"}], r'routes."a".sender: .LAB.; expected MSH-3\|MSH-4'),
        ([{"name": "a", "port": 1, "zone": "nowhere"}], 'routes."a".zone: unknown time zone'),
        ([{"name": "a", "port": 1, "charset": "ASCII"}], 'routes."a".charset: .ASCII.; expected one of 8859/1'),
        ([{"name": "a", "port": 1, "delimiters": "^^^^"}], 'routes."a".delimiters: '),
        ([{"name": "a b", "port": 1}], "matching regex"),
        ([{"name": "a", "port": 70_000}], "<= 65535"),
        ([{"name": "a", "port": 1}, {"name": "a", "port": 2}], 'routes."a": the name of two routes'),
        (
            [{"name": "a", "sender": "*|X"}, {"name": "b", "sender": "L|X"}],
            'routes."b": never taken, for .a. before it',
        ),
        ([{"name": "a", "port": 1}, {"name": "b", "port": 1, "sender": "L|X"}], 'routes."b": never taken'),
        ([{"name": "a", "port": 1, "strickt": True}], "unknown field `strickt`"),
    ],
)
def test_each_mistake_names_the_route(table: list[dict[str, Any]], words: str) -> None:
    """A wrong route fails when the settings are read, by its name, its key and what is expected there."""
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert({"routes": table}, Hl7Settings)


SENDERS = st.sampled_from(["LAB|MAIN", "LAB|*", "*|MAIN", "*|*", "PAS|MAIN", ""])
ROUTES = st.builds(
    lambda number, port, sender: (number, port, sender), st.integers(0, 99), st.sampled_from([0, 1, 2]), SENDERS
)


@given(
    st.lists(ROUTES, max_size=5),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([b"LAB|MAIN", b"PAS|MAIN", b"|", b"A^B~C|D"]),
)
def test_a_covered_route_is_never_taken(given_routes: list[Any], port: int, sender: bytes) -> None:
    """The check refuses no more and no less: a route that it lets stand takes something that those before it do not."""
    routes = [Route(f"r{at}", port, sender) for at, (_, port, sender) in enumerate(given_routes) if port or sender]
    taken = route_of(message(sender=sender), routes, port)
    for at, route in enumerate(routes):
        for before in routes[:at]:
            if before.covers(route):
                assert taken is not route
                with pytest.raises(ValueError, match="never taken"):
                    check_routes([before, route])
    assert taken is NO_ROUTE or taken.takes(_plain(sender), port)


def _plain(sender: bytes) -> str:
    return "|".join(part.split("~")[0].split("^")[0] for part in sender.decode().split("|"))
