"""Training rows: nothing in them is of later, and the file holds what was recorded."""

from __future__ import annotations

import json
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from connectors.datasets.physionet2019 import read_stays
from connectors.decoded import Decoded
from events import MILLIS_PER_HOUR as H
from events import (
    MILLIS_PER_MINUTE,
    Acknowledgement,
    Admission,
    Correction,
    Demographics,
    Discharge,
    Envelope,
    Location,
    Observation,
    Outcome,
    Transfer,
    content_id,
)
from models.inputs import LEARNING_INPUTS
from stream.facts import PatientFacts
from stream.outcomes import OutcomeDefinition
from stream.partition_fold import PartitionFold
from stream.row_recorder import RowRecorder, TrainingRow
from stream.rows import GROUP_ROWS, RowFile
from tests.live.parity import hospital_log

WIDTH = len(LEARNING_INPUTS.names)
DEFINITION = OutcomeDefinition(critical_care_wards=frozenset({"ICU"}))
CODES = (("8867-4", "/min"), ("9279-1", "/min"), ("59408-5", "%"), ("8480-6", "mm[Hg]"), ("2524-7", "mmol/L"))


def rows_of(envelopes, recorder=RowRecorder):
    """Fold envelopes through the pipeline; give the rows, in learning order."""
    kept: list[TrainingRow] = []
    learner = recorder(DEFINITION, kept.extend)
    fold = PartitionFold(0, 1, {}, learner=learner)
    for envelope in envelopes:
        fold.fold(envelope)
    learner.finish()
    return kept


def leaks(envelopes, rows, recorder=RowRecorder):
    """Give the rows that are other than what a stream says that ends where each of them was known.

    Inputs and facts: from what was received up to the score. Label and mark: up to its maturity.
    """
    wrong = []
    for row in rows:
        then = {one.row: one for one in rows_of([e for e in envelopes if e.received_time <= row.at], recorder)}
        known = {one.row: one for one in rows_of([e for e in envelopes if e.received_time <= row.matured_at], recorder)}
        before = then.get(row.row)
        same = before is not None and (before.at, before.patient, before.facts) == (row.at, row.patient, row.facts)
        if not same or repr(before.vector) != repr(row.vector) or repr(known.get(row.row)) != repr(row):
            wrong.append(row)
    return wrong


PATIENTS = ("a", "b", "c")


def event_of(kind, now, offset, value, number):
    """Make one event; measured up to six hours before it is told."""
    at = now - offset
    code, unit = CODES[value % len(CODES)]
    seen = Observation(number, (("loinc", code),), 40.0 + value, unit, event_time=at)
    return {
        "observe": seen,
        "correct": Correction(Observation(max(number - 3, 0), (("loinc", code),), 50.0, unit, event_time=at)),
        "admit": Admission(at, Location(ward="A")),
        "move": Transfer(at, Location(ward="ICU" if value % 3 == 0 else "B")),
        "born": Demographics(at, birth_date=f"19{value}", sex="female"),
        "die": Outcome(at, "death"),
        "leave": Discharge(at, deceased=value % 2 == 0),
        "act": Acknowledgement(at, "alert"),
    }[kind]


@st.composite
def stories(draw):
    """Draw messages of three patients in log order, about an hour apart, with late, repeated and corrected values."""
    kinds = st.sampled_from(["observe"] * 8 + ["correct", "admit", "move", "born", "die", "leave", "act"])
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(PATIENTS), st.integers(0, 120), st.integers(0, 360), st.integers(20, 70),
                st.lists(kinds, min_size=1, max_size=3),
            ),
            min_size=2,
            max_size=14,
        )
    )  # fmt: skip
    now, envelopes = 1_000 * H, []
    for number, (patient, wait, offset, value, chosen) in enumerate(steps):
        now += wait * MILLIS_PER_MINUTE
        told = tuple(
            event_of(kind, now, offset * MILLIS_PER_MINUTE, value, 10 * number + place)
            for place, kind in enumerate(chosen)
        )
        envelopes.append(Envelope(content_id("m", str(number)), patient, now, now, told, message_id=str(number)))
    return envelopes


@settings(max_examples=60)
@given(stories())
def test_no_row_holds_what_was_received_after_its_time(envelopes):
    """However late, corrected or contradicted, a row is what a stream that ends at its score says of it."""
    assert leaks(envelopes, rows_of(envelopes)) == []


def hourly(patient="a", hours=6):
    """Give one patient's heart rate, another value each hour."""
    return [
        Envelope(
            content_id("h", patient, str(hour)), patient, hour * H, hour * H,
            (Observation(hour, (("loinc", "8867-4"),), 60.0 + hour, "/min", event_time=hour * H),),
            message_id=str(hour),
        )
        for hour in range(1, hours + 1)
    ]  # fmt: skip


def test_a_row_that_leaks_is_caught():
    """A recorder that lets the next hour's value into a row is told apart by the same check that ours passes."""
    envelopes = hourly()

    class Patched(RowRecorder):
        """Keeps each patient's row open until the next score, and lets its first input be overwritten."""

        def scored(self, patient, at, vector, probability=None, version=""):
            waiting = self.join.joiner._stays.get(patient)
            if waiting is not None and waiting.waiting:
                last = waiting.waiting[-1]
                last.vector = np.float64(vector[0]).tobytes() + last.vector[8:]
            super().scored(patient, at, vector, probability, version)

    assert leaks(envelopes, rows_of(envelopes)) == []
    assert len(leaks(envelopes, rows_of(envelopes, Patched), Patched)) == 5


def test_the_hospital_teaches_nothing_of_later():
    """On a simulated hospital's traffic, late charting and all, sampled rows are what was known at their score."""
    (envelopes,) = hospital_log(1).partitions
    rows = rows_of(envelopes)
    assert len(rows) > 300
    assert leaks(envelopes, rows[:: len(rows) // 4]) == []


def test_real_stays_teach_nothing_of_later(shared_data):
    """On real stays of hospital A that lie there at once, each sampled row and label is what was known by then."""
    items = [item for stay in islice(read_stays(shared_data / "physionet2019"), 6) for item in stay]
    envelopes = [
        Envelope(content_id(read.message_id), read.encounter, time, time, read.events, message_id=read.message_id)
        for time, read in sorted(items, key=lambda item: item[0])
        if isinstance(read, Decoded)
    ]
    rows = rows_of(envelopes)
    assert len(rows) > 60
    assert leaks(envelopes, rows[:: len(rows) // 5]) == []


def test_rows_come_in_the_order_they_are_learned_in():
    """By maturity, then time, then patient; each score once."""
    (envelopes,) = hospital_log(1).partitions
    rows = rows_of(envelopes)
    order = [(row.matured_at, row.at, row.patient) for row in rows]
    assert order == sorted(order)
    assert len({row.row for row in rows}) == len(rows)
    assert {row.patient for row in rows} <= set(range(len({e.patient for e in envelopes})))


def test_a_row_carries_who_and_where_the_patient_was_then():
    """Sex, ward and unit of origin are those known at the score; a later move changes the later rows only."""
    first, *rest = hourly(hours=3)
    told = Envelope("t", "a", H, H, (Admission(H, Location("A")), Demographics(H, sex="female")), message_id="t")
    moved = Envelope("u", "a", 2 * H, 2 * H, (Transfer(2 * H, Location("B")),), message_id="u")
    rows = rows_of([told, first, moved, *rest])
    assert [row.facts for row in rows] == [PatientFacts("female", "A", "A"), *[PatientFacts("female", "B", "A")] * 2]


def row(number, **fields):
    """Make a row by hand."""
    vector = tuple(float("nan") if place % 5 == 0 else number + place / 7 for place in range(WIDTH))
    plain = {"label": False, "matured_at": 9, "after_action": False, "patient": 0, "facts": PatientFacts()}
    return TrainingRow(at=number, row=number, **{"vector": vector, **plain, **fields})


def test_the_file_holds_the_rows_as_they_were(tmp_path):
    """Every number comes back as its nearest 32-bit float, NaN as NaN, in order, over more than one row group."""
    given_rows = [
        row(number, label=number % 3 == 0, patient=number // 2, after_action=number == 4,
            facts=PatientFacts("male", f"W{number % 2}", ""))
        for number in range(GROUP_ROWS + 3)
    ]  # fmt: skip
    with RowFile(tmp_path / "rows.parquet", {"source": "test"}) as file:
        file.write(given_rows[:10])
        file.write(given_rows[10:])
        file.add_note({"labels": "{}"})
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table.num_rows == len(given_rows)
    assert table.column("row").to_pylist() == [one.row for one in given_rows]
    assert table.column("label").to_pylist() == [one.label for one in given_rows]
    assert table.column("ward_type").to_pylist()[:3] == ["W0", "W1", "W0"]
    for name in (LEARNING_INPUTS.names[1], LEARNING_INPUTS.names[5]):
        place = LEARNING_INPUTS.names.index(name)
        np.testing.assert_array_equal(
            table.column(name).to_numpy(), np.array([one.vector[place] for one in given_rows], np.float32)
        )
    metadata = parquet.read_metadata(tmp_path / "rows.parquet").metadata
    assert metadata[b"labels"] == b"{}"
    assert metadata[b"schema_hash"].startswith(b"sha256:")
    assert parquet.ParquetFile(tmp_path / "rows.parquet").num_row_groups == 2


def test_a_file_that_was_not_finished_does_not_appear(tmp_path):
    """Where writing fails, there is no file and nothing half-written."""
    with pytest.raises(ValueError, match="broadcast"), RowFile(tmp_path / "rows.parquet", {}) as file:
        file.write([row(1), row(2, vector=(1.0, 2.0))])
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_real_rows(shared_data, tmp_path, cli):
    """On some stays of hospital A, through the real pipeline: rows with both labels, in order, and nobody's name."""
    target = tmp_path / "rows.parquet"
    source = f"physionet2019:{shared_data / 'physionet2019'}"
    config = tmp_path / "wardstream.toml"
    config.write_text('[outcome]\nkinds = ["sepsis"]\n')
    done = cli("rows", source, "--config", config, "--every", "600", "--out", target, "--quiet")
    assert (done.code, done.out) == (0, "")
    table = parquet.read_table(target)
    labels = table.column("label").to_numpy(zero_copy_only=False)
    assert table.num_rows > 500
    assert 0 < labels.sum() < len(labels)
    matured = table.column("matured_at").to_pylist()
    assert all(one <= other for one, other in pairwise(matured))
    lag = (table.column("matured_at").to_numpy() - table.column("at").to_numpy()) / H
    assert lag.max() == 13.0
    assert lag[labels].max() <= 13.0
    texts = {
        text for name in ("sex", "ethnicity", "ward_type", "unit_of_origin") for text in table.column(name).to_pylist()
    }
    assert texts <= {"", "male", "female", "MICU", "SICU", "ICU"}
    about = parquet.read_metadata(target).metadata
    assert json.loads(about[b"outcome"])["kinds"] == ["sepsis"]
    assert json.loads(about[b"labels"])["positives"] == labels.sum()
    assert str(shared_data) not in str(about)


def test_a_recorded_log_gives_rows_with_what_was_done_about_alerts(new_ward, tmp_path, cli):
    """Of an embedded service's journal: the rows that the running service saw, marked where somebody took an alert."""
    ward = new_ward()
    ward.admit("1", 0)
    for hour in range(20):
        ward.chart("1", 60 * hour + 1, ward.SICK if hour == 4 else ward.WELL)
    (raised, *_) = ward.alerts("1", "news2_floor")
    ward.enter(Acknowledgement(ward.at(60 * 20), raised["alert_id"]), 60 * 20, "1")
    ward.pass_time(60 * 60)
    ward.service.close()
    done = cli("rows", f"journal:{tmp_path / 'ward-1'}", "--out", tmp_path / "rows.parquet", "--quiet")
    assert done.code == 0, done.err
    table = parquet.read_table(tmp_path / "rows.parquet")
    hours = [(at - ward.START) // H for at in table.column("at").to_pylist()]
    marks = dict(zip(hours, table.column("after_action").to_pylist(), strict=True))
    assert (marks[0], marks[12]) == (False, True)


def test_the_command_says_where_nothing_was_learned(tmp_path, cli):
    """Without a labelled row it ends with 1 and says why."""
    source = tmp_path / "empty.hl7"
    source.write_text("")
    done = cli("rows", source, "--out", tmp_path / "rows.parquet", "--quiet")
    assert done.code == 1
    assert "no row got a label" in done.err
