"""A merge by mistake and its taking back, told in HL7 v2 bytes: what the ward is told, and whose readings are whose."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgspec

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result
from connectors.hospital import Hospital, as_hl7
from connectors.sqlite.journal import Batch, SqliteJournal
from events import Envelope, Merge, Retirement
from features.state import PatientState
from stream.parse import spread
from stream.parts import PARTS_MAX, Merges, Part
from stream.records import MERGED_SCHEMA, RECORD_SCHEMA, PatientRecord, read_stored
from stream.service import EmbeddedService


def merged_by_mistake(ward) -> None:
    """Admit a well patient and a sick one, and merge the sick one into the well one."""
    ward.admit("well")
    ward.admit("sick", 1)
    ward.chart("well", 5, ward.WELL)
    ward.chart("sick", 10, ward.SICK)
    ward.adt("A40", "well", 20, retired=Identifier("MRN", "sick"))


def test_an_unmerge_gives_each_his_own_readings_and_alerts(ward):
    """The alert that stood on the other's readings is taken back, and rises anew where they belong."""
    merged_by_mistake(ward)
    assert ward.story("well") == ["raised band_rise"]
    ward.adt("A37", "well", 30, other=Identifier("MRN", "sick"))
    assert ward.story("well") == ["raised band_rise", "retracted correction"]
    assert ward.story("sick") == ["raised band_rise", "retracted merge", "raised band_rise"]
    assert ward.score("well")["news2"]["total"] == 0
    assert ward.score("sick")["news2"]["total"] == 12


def test_what_came_while_they_were_one_is_told_apart_by_the_number_it_came_under(ward):
    """Readings charted under either number during the mistake are each in their own record after it."""
    merged_by_mistake(ward)
    ward.chart("well", 22, {"lactate": 1.1})
    ward.chart("sick", 24, {"sodium": 131.0})
    ward.adt("A37", "sick", 30, other=Identifier("MRN", "well"))
    shelf, at = ward.service.host.shelf, ward.at(31)
    well, sick = (shelf.find(ward.key(mrn)).state for mrn in ("well", "sick"))
    assert (well.latest("lactate", at).value, well.latest("sodium", at)) == (1.1, None)
    assert (sick.latest("sodium", at).value, sick.latest("lactate", at)) == (131.0, None)
    assert well.latest("heart_rate", at).value == 72.0


def test_a_correction_under_the_number_that_stood_finds_the_result_of_the_other(ward):
    """A value that came under the retired number, put right under the survivor's, stays right after the unmerge."""
    merged_by_mistake(ward)
    ward.results(
        "well", 25, [Result(code="8867-4", value=100.0, unit="/min", status="C")], observed=9, order="O-sick-9"
    )
    ward.adt("A45", "sick", 30, retired=Identifier("MRN", "well"))
    shelf, at = ward.service.host.shelf, ward.at(31)
    assert shelf.find(ward.key("sick")).state.latest("heart_rate", at).value == 100.0
    assert shelf.find(ward.key("well")).state.latest("heart_rate", at).value == 72.0


def test_an_unmerge_after_a_restart_is_the_same(ward, tmp_path):
    """What is kept apart, in the states and in the identity map, is there after the process began anew."""
    merged_by_mistake(ward)
    ward.service.host.checkpoint()
    ward.service.close()
    ward.service = EmbeddedService(tmp_path / "ward-1", ward.release, {})
    ward.chart("sick", 25, ward.SICK)
    ward.adt("A37", "well", 30, other=Identifier("MRN", "sick"))
    assert ward.story("well")[-1] == "retracted correction"
    assert ward.story("sick")[-1] == "raised band_rise"
    before = ward.service.digest()
    ward.service.close()
    (tmp_path / "ward-1" / "state.db").unlink()
    ward.service = EmbeddedService(tmp_path / "ward-1", ward.release, {})
    assert (ward.service.digest(), ward.service.diverged) == (before, 0)


def test_an_unmerge_of_two_who_are_two_changes_nothing(ward):
    """An A37 told again, or of patients that nobody merged, or of nobody known, says nothing to the ward."""
    ward.admit("1")
    ward.admit("2", 1)
    ward.chart("1", 5, ward.SICK)
    ward.adt("A37", "1", 10, other=Identifier("MRN", "2"))
    ward.adt("A37", "unknown", 11, other=Identifier("MRN", "nobody"))
    assert ward.story("1") == ["raised band_rise"]
    assert ward.service.host.shelf.find(ward.key("unknown")) is None


def test_a_record_that_was_never_merged_is_stored_as_ever(ward):
    """Only a record that merges left something on is of the new schema: any other is as the first release wrote it."""
    merged_by_mistake(ward)
    ward.chart("third", 22, ward.WELL)
    shelf = ward.service.host.shelf
    plain, joined = (shelf.find(ward.key(mrn)).encode() for mrn in ("third", "well"))
    assert (read_stored(plain).schema, read_stored(joined).schema) == (RECORD_SCHEMA, MERGED_SCHEMA)
    assert len(msgspec.msgpack.decode(plain)) == 7
    again = PatientRecord.decode(joined, ward.service.host.pipeline.control.catalogue)
    assert again.encode() == joined


def test_parts_are_bounded_and_the_longest_joined_is_joined_for_good(ward):
    """Past the bound the oldest part's readings are the record's own; nothing is lost."""
    ward.chart("all", 1, ward.WELL)
    for number in range(PARTS_MAX + 2):
        ward.chart(f"n{number}", 2 + number, {"lactate": 1.0 + number})
        ward.adt("A40", "all", 20 + number, retired=Identifier("MRN", f"n{number}"))
    record = ward.service.host.shelf.find(ward.key("all"))
    assert record.merges is not None
    assert list(record.merges.others) == [ward.key(f"n{number}") for number in range(2, PARTS_MAX + 2)]
    assert record.merges.own is not None
    assert record.merges.own.latest("lactate", ward.at(60)).value == 2.0
    assert record.state.latest("lactate", ward.at(60)).value == PARTS_MAX + 2.0


def test_a_part_within_a_part_goes_with_it():
    """What was merged into a source before that source was merged is taken out with it."""
    merges = Merges()
    merges.begin(PatientState(), scale_2=False)
    merges.add("b", Part(PatientState()))
    merges.add("a", Part(PatientState(), "b"))
    merges.add("c", Part(PatientState()))
    assert merges.path("a") == ("a", "b")
    assert set(merges.take_out("b")) == {"a", "b"}
    assert set(merges.others) == {"c"}


def test_the_embedded_host_drops_what_a_live_log_holds_already(ward):
    """Records made by a live parse are folded; what the fold would pass on stands in such a log, and is not put out."""
    ward.admit("old")
    ward.chart("old", 5, ward.SICK)
    at, old, new = ward.at(10), ward.key("old"), ward.key("new")
    envelope = Envelope("00000000-0000-8000-8000-000000000001", new, at, at, (Merge(at, old),))
    told = spread(envelope)
    assert [one.events for one in told] == [(Merge(at, old),), (Retirement(at, new),)]
    ward.service.host.enter(told[1:])
    assert ward.story("old") == ["raised band_rise", "retracted merge"]
    assert ward.service.host.shelf.find(old).away == new
    assert {kind for kind, _, _ in ward.service.outputs.outputs()} <= {"scores", "alerts", "suppressed"}


def test_the_simulated_hospitals_mistakes_end_with_everybodys_own_alerts(ward):
    """After all that clerks merged by mistake is taken back, nobody is left retired, and every message was folded."""
    hospital = Hospital(seed=5, beds=8, hours=30, mistaken_share=0.9)
    parted = 0
    for story in hospital:
        data = as_hl7(story)
        if data is not None:
            ward.send(data, (story.sent_time - ward.START) / 60_000)
            parted += story.trigger == "A37"
    assert parted >= 2
    assert ward.service.host.pipeline.tally.unfoldable == 0
    shelf = ward.service.host.shelf
    records = [shelf.find(key) for key in sorted(shelf.keys())]
    assert not [record.away for record in records if record is not None and record.away]


def test_a_journal_from_before_unmerges_gets_the_table_of_former_keys(tmp_path):
    """A journal of this schema without the table is read as having none, and gets it when opened to be written."""
    with closing(SqliteJournal(tmp_path)) as journal:
        journal.append(Batch(identities=[("MRN", "1", "p", 0)], former=[("MRN", "1", "q,r"), ("MRN", "2", "")]))
        assert list(journal.former_keys()) == [("MRN", "1", "q,r")]
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database, database:
        database.execute("DROP TABLE former_keys")
    with closing(SqliteJournal(tmp_path, read_only=True)) as journal:
        assert list(journal.former_keys()) == []
    with closing(SqliteJournal(tmp_path)) as journal:
        journal.append(Batch(former=[("MRN", "1", "q")]))
        assert list(journal.former_keys()) == [("MRN", "1", "q")]
