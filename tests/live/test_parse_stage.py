"""[parse] decides each message once: whatever crashes, whoever works beside it, and whatever Redis loses.

All parts are real: rendered bytes, the codec, a Redis. Kafka is a list: what is produced, and whether it is
acknowledged, is what the tests are about.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.redis.connection import connect
from connectors.redis.identity_store import RedisIdentityStore, link_id
from events import Acknowledgement, Envelope, Location, Merge, Retirement, decode_envelope
from features.store import FencedError, LostStateError, StoreUnavailableError
from stream.identity import IdentityMap, Pseudonyms
from stream.live.parse_stage import PORTION_BYTES_MAX, ParsePartition
from stream.live.parsing import ACKNOWLEDGEMENTS, FHIR, HL7, by_patient, read_item
from stream.live.stage import GapError, LogItem, LogRange
from stream.parse import DeadLetter, Parser, RecentMessages, spread
from stream.settings import Settings

AT = 1_767_225_600_000
PSEUDONYMS = Pseudonyms(b"key")
PEOPLE = [("MRN", f"{n}") for n in range(4)] + [("NHS", f"{n}") for n in range(3)]
SERVER_IDS = [("ehr/Patient", f"{n}") for n in range(3)]
"""Names for want of better: a number that comes with one takes its patient over."""
STEP_MS = 13 * 3_600_000
"""From message to message, so that patients are noted as named anew within some of them."""


def identifiers(names):
    """Give codec identifiers."""
    return tuple(Identifier(*name) for name in names)


def oru(number, names):
    """Render a result about whom all these names mean."""
    data = render_oru(
        control_id=f"C{number}",
        sent_time=AT,
        feed="LAB|MAIN",
        patient=Identifier(*names[0]),
        encounter="V1",
        location=Location(),
        observed_time=AT,
        order=f"O{number}",
        results=[Result(code="8867-4", value=72.0, unit="/min")],
    )
    more = "~".join(f"{value}^^^{authority}^XX" for authority, value in names[1:])
    one = f"{names[0][1]}^^^{names[0][0]}^MR"
    return data.replace(one.encode(), f"{one}~{more}".encode(), 1) if more else data


def merge(number, survivor, retired):
    """Render an A40."""
    return render_adt(
        "A40",
        control_id=f"C{number}",
        sent_time=AT,
        feed="LAB|MAIN",
        patient=Identifier(*survivor),
        event_time=AT,
        retired=Identifier(*retired),
    )


def unmerge(number, one, other):
    """Write an A37."""
    return (
        f"MSH|^~\\&|LAB|MAIN|||20260101000000||ADT^A37^ADT_A37|C{number}|P|2.5.1\rEVN|A37|20260101000000\r"
        f"PID|1||{one[1]}^^^{one[0]}^MR\rPID|2||{other[1]}^^^{other[0]}^MR\r"
    ).encode()


def swap(number, one, other):
    """Write an A17."""
    return (
        f"MSH|^~\\&|LAB|MAIN|||20260101000000||ADT^A17^ADT_A17|C{number}|P|2.5.1\rEVN|A17|20260101000000\r"
        f"PID|1||{one[1]}^^^{one[0]}^MR\rPV1|1|I|A^1^1\rPID|2||{other[1]}^^^{other[0]}^MR\rPV1|2|I|A^1^2\r"
    ).encode()


class Bench:
    """Some ingest partitions, a worker for each, and all that they produced."""

    def __init__(self, store, partitions=2):
        self.store = store
        self.logs = [[] for _ in range(partitions)]
        self.produced = []
        self.worked = {}
        """The places in the order in which they were first decided."""
        self.workers = [self.worker(number) for number in range(partitions)]

    def worker(self, number, topic=HL7, **how):
        """Begin a worker for a partition, as after a crash."""
        worker = ParsePartition(topic, number, self.store, Settings(), PSEUDONYMS, **how)
        worker.open(LogRange(0, max(len(self.logs[number]), 10_000)))
        return worker

    def add(self, number, data, *, key=b"LAB|MAIN"):
        """Let a message arrive."""
        log = self.logs[number]
        at = AT + STEP_MS * len(log)
        log.append(LogItem(len(log), key, data, (("ws_received", b"%d" % at),), at))

    def step(self, number, size, crash):
        """Work on a batch; at a crash, the worker is replaced after that step. Say whether there was anything."""
        worker = self.workers[number]
        batch = self.logs[number][worker.folded + 1 : worker.folded + 1 + size]
        if not batch:
            return False
        records = worker.work(batch)
        for item in batch:
            self.worked.setdefault((number, item.offset))
        if crash == "claimed":
            self.workers[number] = self.worker(number)
            return True
        self.produced += records[: len(records) // 2] if crash == "half produced" else records
        if crash is None:
            worker.commit()
        else:
            self.workers[number] = self.worker(number)
        return True

    def finish(self):
        """Work until nothing is left."""
        for number in range(len(self.logs)):
            while self.step(number, 5, None):
                pass

    def contents(self, topic):
        """Give every content by its id, as a set: one each, if no repeat was another."""
        found = defaultdict(set)
        for record in self.produced:
            if record.topic == topic:
                found[dict(record.headers)["ce_id"]].add((record.key, record.value))
        return dict(found)

    def envelopes(self):
        """Give the envelopes, one by id."""
        found = self.contents("events.v1")
        assert all(len(contents) == 1 for contents in found.values())
        return {name.decode(): decode_envelope(value) for name, [(_key, value)] in found.items()}

    def expected(self):
        """Give the envelopes and links of the whole map, asked in the order in which things were decided."""
        people = IdentityMap(PSEUDONYMS)
        parser = Parser(people, RecentMessages())
        found, links = {}, {}
        for number, offset in self.worked:
            item = self.logs[number][offset]
            record = read_item(HL7, number, item, Settings())
            kept_out = None
            for taken in by_patient(record).messages:
                if taken.decoded is kept_out:
                    continue  # The other half of a swap that is refused.
                parsed, _ = parser.step(taken.decoded, record.received_time, taken.position)
                kept_out = getattr(taken.decoded, "beside", None) if type(parsed) is DeadLetter else None
                if type(parsed) is Envelope:
                    found |= {told.envelope_id: told for told in spread(parsed)}
            for one in people.take_unsaved():
                links[one.authority, one.value] = (one.patient, one.former, people.used(one.patient))
        return found, links

    def links(self):
        """Give the links in Redis, and those that the log of the map comes to."""
        told = {}
        for record in self.produced:
            if record.topic == "identities.v1":
                one = json.loads(record.value)
                name = (one["authority"], one["value"])
                assert record.key.decode() == link_id(name)
                if name not in told or told[name]["version"] <= one["version"]:
                    told[name] = one
        held = self.store.look(told, ()).links
        return {name: (link.patient, link.former, link.used) for name, link in held.items()}, {
            name: (one["key"], one["former"], one["used"]) for name, one in told.items()
        }


@pytest.fixture(scope="module")
def clients():
    """Keep the clients of this module open for all examples."""
    opened = []
    yield opened
    for client in opened:
        client.close()


@pytest.fixture
def new_store(redis_settings, clients):
    """Give a maker of stores, each with keys of its own."""
    numbers = itertools.count()
    client = connect(redis_settings)
    clients.append(client)
    return lambda: RedisIdentityStore(client, f"{redis_settings.prefix}{next(numbers)}")


names = st.lists(st.sampled_from(PEOPLE + SERVER_IDS), min_size=1, max_size=3, unique=True)
pairs = st.lists(st.sampled_from(PEOPLE), min_size=2, max_size=2, unique=True)
messages = st.one_of(
    st.tuples(st.just(oru), names),
    st.tuples(st.just(merge), pairs),
    st.tuples(st.just(unmerge), pairs),
    st.tuples(st.just(swap), pairs),
)
steps = st.tuples(st.integers(0, 1), st.integers(1, 4), st.sampled_from([None, "claimed", "half produced", "produced"]))


def written(number, kind, who):
    """Write a message."""
    return oru(number, who) if kind is oru else kind(number, *who)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(messages, st.integers(0, 1), st.booleans()), min_size=1, max_size=14),
    st.lists(steps, max_size=20),
)
def test_whatever_crashes_each_message_is_decided_once(new_store, sent, crashes):
    """Under crashes at any step, with another partition's batches in between, every envelope has one content, and it is
    the one that the whole map gives in the order of the claims; no message is lost, repeated ones change nothing.
    """
    bench = Bench(new_store())
    for number, ((kind, who), partition, twice) in enumerate(sent):
        bench.add(partition, written(number, kind, who))
        if twice:
            bench.add(1 - partition, written(number, kind, who))
    for number, size, crash in crashes:
        bench.step(number, size, crash)
    bench.finish()
    envelopes, links = bench.expected()
    assert bench.envelopes() == envelopes
    in_redis, in_the_log = bench.links()
    assert in_redis == in_the_log
    assert {name: link[:2] for name, link in in_redis.items()} == {name: link[:2] for name, link in links.items()}
    # When somebody was last named is left out: the whole map remembers that of a retired key too, which here is noted
    # anew when the key is a patient's again.


def test_a_swap_is_a_record_for_each_patient_whatever_crashes(new_store):
    """An A17 comes to one record for each of the two, keyed by his own key; a repeat of the work gives the same two."""
    for crash in (None, "claimed", "half produced", "produced"):
        bench = Bench(new_store(), 1)
        bench.add(0, swap(1, *PEOPLE[:2]))
        bench.step(0, 1, crash)
        bench.add(0, swap(1, *PEOPLE[:2]))
        bench.finish()
        told = bench.envelopes().values()
        assert [(one.events[0].location.bed, one.position) for one in sorted(told, key=lambda one: one.position)] == [
            ("1", f"{HL7}/0/0"),
            ("2", f"{HL7}/0/0#2"),
        ]
        assert len({one.patient for one in told}) == 2
        keys = {record.key.decode() for record in bench.produced if record.topic == "events.v1"}
        assert keys == {one.patient for one in told}


def test_a_swap_of_two_numbers_of_one_patient_is_one_dead_letter(new_store):
    """Merged by then, the two are one, and neither half moves him: as in the embedded service."""
    bench = Bench(new_store(), 1)
    bench.add(0, merge(1, *PEOPLE[:2]))
    bench.step(0, 1, None)
    bench.add(0, swap(2, *PEOPLE[:2]))
    bench.finish()
    letters = [json.loads(one.value) for one in bench.produced if one.topic == "deadletters.v1"]
    assert [one["reason"] for one in letters] == ["invalid_value"]
    assert not any(one.position.startswith(f"{HL7}/0/1") for one in bench.envelopes().values())


def test_a_patient_who_is_named_again_is_noted_as_such_once_a_day(new_store):
    """All of a patient's links are written again when he is named a day after they last were, and not before."""
    bench = Bench(new_store(), 1)
    for number in range(3):
        bench.add(0, oru(number, PEOPLE[:2] if number == 0 else PEOPLE[:1]))
        bench.step(0, 1, None)
    noted = [json.loads(one.value)["used"] for one in bench.produced if one.topic == "identities.v1"]
    assert noted == [AT, AT, AT + 2 * STEP_MS, AT + 2 * STEP_MS]
    assert {link.used for link in bench.store.look(PEOPLE[:2], ()).links.values()} == {AT + 2 * STEP_MS}


def test_workers_beside_each_other_agree_on_everybody(new_store):
    """Four workers on one map at once: every envelope has one content, and map and its log end alike."""
    bench = Bench(new_store(), 4)
    rng = random.Random(7)  # noqa: S311 - no secret
    for number in range(400):
        kind = rng.choice([oru, oru, oru, merge])
        data = written(number, kind, rng.sample(PEOPLE, rng.randint(1, 3) if kind is oru else 2))
        for partition in rng.sample(range(4), rng.choice([1, 1, 2])):
            bench.add(partition, data)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda number: [bench.step(number, 10, None) for _ in range(40)], range(4)))
    assert all(result[0] for result in results)
    bench.finish()
    told = [one for one in bench.envelopes().values() if not one.events or type(one.events[0]) is not Retirement]
    assert len(told) == 400
    in_redis, in_the_log = bench.links()
    assert in_redis == in_the_log


def test_two_partitions_take_the_same_content_once(new_store):
    """A message that arrives by two ways at one moment is one envelope."""
    bench = Bench(new_store())
    for partition in (0, 1):
        bench.add(partition, oru(1, PEOPLE[:1]))
    bench.finish()
    assert len([record for record in bench.produced if record.topic == "events.v1"]) == 1
    assert bench.workers[0].counts["accepted"] + bench.workers[1].counts["accepted"] == 1
    assert bench.workers[0].counts["duplicates"] + bench.workers[1].counts["duplicates"] == 1


def test_a_merge_is_told_to_both_sides(new_store):
    """The retired key's own partition of the log is told, in the same batch as the survivor's and after the links."""
    bench = Bench(new_store())
    for number, name in enumerate(PEOPLE[:2]):
        bench.add(0, oru(number, [name]))
    bench.add(0, merge(9, *PEOPLE[:2]))
    bench.finish()
    survivor, retired = (PSEUDONYMS.of("patient", *name) for name in PEOPLE[:2])
    *_, merged, told = bench.produced
    assert (merged.key, told.key) == (survivor.encode(), retired.encode())
    assert [record.topic for record in bench.produced] == [*["identities.v1"] * 2, *["events.v1"] * 4]
    assert [type(decode_envelope(one.value).events[0]) for one in (merged, told)] == [Merge, Retirement]


def test_a_bad_record_is_a_letter_and_the_partition_goes_on(new_store):
    """What cannot be used is kept with reason, place and bytes; what comes after it is taken."""
    bench = Bench(new_store())
    bench.add(0, b"\x00garbage")
    bench.add(0, oru(1, PEOPLE[:1]), key=None)
    bench.add(0, oru(2, PEOPLE[:1]))
    bench.finish()
    letters = [json.loads(record.value) for record in bench.produced if record.topic == "deadletters.v1"]
    assert [(one["reason"], one["source"]) for one in letters] == [
        ("garbage", "hl7v2.ingest.v1/0/0"),
        ("missing_field", "hl7v2.ingest.v1/0/1"),
    ]
    assert letters[0]["data_base64"] == "AGdhcmJhZ2U="
    assert len(bench.envelopes()) == 1
    assert bench.workers[0].folded == 2


def test_an_acknowledgement_goes_to_its_patients_log(new_store):
    """It is keyed by the patient key that it names, and a repeat of it is a duplicate."""
    bench = Bench(new_store(), 1)
    patient = "0123456789abcdef" * 2
    said = json.dumps({"patient": patient, "alert_id": "a-1", "actor": "nurse", "at": "2026-01-01T00:00:00Z"})
    worker = bench.worker(0, ACKNOWLEDGEMENTS)
    for _ in range(2):
        bench.add(0, said.encode(), key=b"WARD")
    [record] = worker.work(bench.logs[0])
    assert record.key == patient.encode()
    assert decode_envelope(record.value).events == (Acknowledgement(AT, "a-1", "nurse"),)


def test_a_bundle_sent_again_with_one_more_entry_gives_that_entry_alone(new_store):
    """Parts of a Bundle are known one by one, over restarts too."""

    def bundle(*values):
        entries = [
            {
                "resource": {
                    "resourceType": "Observation",
                    "id": f"o{value}",
                    "status": "final",
                    "subject": {"reference": "Patient/p1"},
                    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
                    "issued": "2026-01-01T12:00:00Z",
                    "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "/min"},
                }
            }
            for value in values
        ]
        return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()

    bench = Bench(new_store(), 1)
    for values in ((70, 71), (70, 71, 72)):
        bench.add(0, bundle(*values), key=b"fhir")
    worker = bench.worker(0, FHIR)
    bench.produced += worker.work(bench.logs[0][:1])
    worker.commit()
    bench.produced += bench.worker(0, FHIR).work(bench.logs[0][1:])
    told = [decode_envelope(one.value) for one in bench.produced if one.topic == "events.v1"]
    assert [[event.value for event in one.events] for one in told] == [[70, 71], [72]]


def test_a_long_batch_is_claimed_in_portions(new_store):
    """A batch of more bytes than one note may have gives the same records in the same order, also after a crash."""
    bench = Bench(new_store(), 1)
    filler = b"NTE|1||" + b"x" * (PORTION_BYTES_MAX // 6) + b"\r"
    for number in range(12):
        bench.add(0, oru(number, PEOPLE[:1]) + filler)
    first = bench.workers[0].work(bench.logs[0])
    assert [one.topic for one in first].count("events.v1") == 12
    second = bench.worker(0)
    assert [*second.work(bench.logs[0][:5]), *second.work(bench.logs[0][5:])] == first
    second.commit()
    assert bench.store.take(HL7, 0)[1] == {}


@pytest.mark.parametrize("written_first", [True, False])
def test_an_answer_that_was_lost_changes_nothing(redis_settings, clients, written_first):
    """Where Redis does not answer a claim, written or not, the same batch again gives the same records."""

    class Deaf(RedisIdentityStore):
        hears = False

        def claim(self, *arguments):
            if self.hears or written_first:
                super().claim(*arguments)
            if not self.hears:
                raise StoreUnavailableError("no answer")

    clients.append(connect(redis_settings))
    bench = Bench(Deaf(clients[-1], redis_settings.prefix), 1)
    for number in range(3):
        bench.add(0, oru(number, PEOPLE[number : number + 2]))
    with pytest.raises(StoreUnavailableError):
        bench.workers[0].work(bench.logs[0])
    bench.store.hears = True
    bench.finish()
    envelopes, links = bench.expected()
    assert bench.envelopes() == envelopes
    assert bench.links() == (links, links)


def test_a_gap_is_not_passed_over(new_store):
    """A record that does not follow the last one is refused, but for the first after opening."""
    bench = Bench(new_store(), 1)
    for number in range(4):
        bench.add(0, oru(number, PEOPLE[:1]))
    bench.workers[0].work(bench.logs[0][1:2])
    with pytest.raises(GapError):
        bench.workers[0].work(bench.logs[0][3:])


def test_a_zombie_is_fenced(new_store):
    """Who slept while another took the partition learns so before he gives anything to be produced."""
    bench = Bench(new_store(), 1)
    bench.add(0, oru(1, PEOPLE[:1]))
    zombie = bench.workers[0]
    assert zombie.still_ours()
    bench.worker(0)
    assert not zombie.still_ours()
    with pytest.raises(FencedError):
        zombie.work(bench.logs[0])


class Log:
    """What a bench produced, read back as `History`."""

    def __init__(self, bench):
        self._bench = bench

    def identities(self, _since):
        """Give all links: an earlier moment than asked is always right."""
        return [record.value for record in self._bench.produced if record.topic == "identities.v1"]

    def envelopes(self, _since):
        """Give all envelopes."""
        return [record.value for record in self._bench.produced if record.topic == "events.v1"]


@pytest.mark.parametrize("kept", [0, 2, 5])
def test_what_a_restored_redis_forgot_is_taken_from_the_log(own_redis, clients, tmp_path, kept):
    """Redis put back to an older state (or to nothing): the records after it are worked again in another order, and
    give the same contents under the same ids; merges, and a message that came by two ways, too.
    """
    server = own_redis()
    client = connect(server.settings())
    clients.append(client)
    bench = Bench(RedisIdentityStore(client, "ws"))
    script = [
        (0, oru(0, [("MRN", "1"), ("NHS", "9")])),
        (1, oru(1, [("NHS", "9"), ("MRN", "2")])),
        (1, oru(2, [("MRN", "3")])),
        (0, merge(3, ("MRN", "1"), ("MRN", "3"))),
        (1, oru(4, [("MRN", "3")])),
        (1, oru(0, [("MRN", "1"), ("NHS", "9")])),
        (0, oru(6, [("NHS", "9")])),
    ]
    for number, (partition, data) in enumerate(script):
        if number == kept:
            server.snapshot(tmp_path / "then")
        bench.add(partition, data)
        bench.step(partition, 5, None)
    before = bench.envelopes()
    server.restore(tmp_path / "then")
    bench.add(1, oru(7, [("MRN", "2")]))
    with pytest.raises(LostStateError):
        bench.workers[1].work(bench.logs[1][-1:])
    bench.workers = [bench.worker(number, history=Log(bench)) for number in (0, 1)]
    while bench.step(1, 5, None):
        pass
    bench.finish()
    after = bench.envelopes()
    assert {name: after.pop(name) for name in before} == before
    assert [one.patient for one in after.values()] == [PSEUDONYMS.of("patient", "MRN", "1")]
    in_redis, in_the_log = bench.links()
    assert in_redis == in_the_log
