"""`wardstream features` over a real Redis: what a worker wrote is shown with ages, and what is wrong is said."""

from __future__ import annotations

import re
import time

import msgspec
import pytest

from alerts.book import AlertBook
from connectors.local.ports import free_ports
from connectors.redis.connection import connect
from connectors.redis.identity_store import IdentityRecord, RedisIdentityStore
from connectors.redis.layout import PATIENT_STAGE, partition_of, write_layout
from connectors.redis.partition_store import RedisPartitionStore
from events import MILLIS_PER_MINUTE, Admission, Location, Observation, to_iso
from features.state import PatientState
from features.store import Entry
from stream.features_view import features_view
from stream.records import PatientRecord

PARTITIONS = 4
KEY = "5b6d1c9a-pseudonym"


@pytest.fixture
def config(tmp_path, redis_settings):
    """A configuration that names the run's Redis and the test's prefix."""
    path = tmp_path / "wardstream.toml"
    path.write_text(
        f'[redis]\nhost = "{redis_settings.host}"\nport = {redis_settings.port}\nprefix = "{redis_settings.prefix}"\n'
    )
    return path


@pytest.fixture
def written(redis_settings):
    """One patient as a worker writes them; gives when."""
    now = int(time.time() * 1000)
    state = PatientState()
    state.apply(Admission(now - 1, location=Location(ward="W7", bed="12")), now)
    heart_rate, spo2 = (("loinc", "8867-4"),), (("loinc", "59408-5"),)
    state.observe(Observation(1, heart_rate, 104.0, "/min", event_time=now - 65 * MILLIS_PER_MINUTE), now, "m")
    state.observe(Observation(2, spo2, 93.0, "%", event_time=now - 3 * 24 * 60 * MILLIS_PER_MINUTE), now, "m")
    record = PatientRecord(state, AlertBook(), heard=now)
    client = connect(redis_settings)
    write_layout(client, redis_settings.prefix, PARTITIONS)
    store = RedisPartitionStore(client, redis_settings.prefix, PATIENT_STAGE, partition_of(KEY, PARTITIONS))
    entry = Entry(record.encode(), None, features_view(KEY, record, now))
    store.commit_entries(store.acquire_epoch(), {KEY: entry}, 0)
    client.close()
    return now


@pytest.mark.parametrize("flags", [[], ["--live"]])
def test_features_are_read_from_redis_with_their_ages(cli, config, written, flags):
    """Without a data folder the live service is meant: value, unit, age, what is stale, and the place."""
    done = cli("features", KEY, "--config", config, *flags)
    assert done.code == 0, done.err
    assert re.search(r"heart_rate +│ +104 │ /min +│ +1 h 05 min", done.out), done.out
    assert re.search(r"spo2 +│ +93 │ % +│ +72 h 00 min │ STALE", done.out), done.out
    assert "ward W7, bed 12; admitted" in done.out
    assert done.err == ""


def test_a_partition_that_nobody_works_is_said(cli, config, written):
    """A view that stands still is shown with a warning that says since when."""
    later = to_iso(written + 30 * MILLIS_PER_MINUTE)
    done = cli("features", KEY, "--config", config, "--at", later)
    assert done.code == 0
    assert "no worker has committed anything" in done.err
    assert "1 h 35 min" in done.out


def test_a_patient_is_found_by_the_sources_own_identifier(cli, config, written, redis_settings):
    """AUTHORITY|VALUE is looked up in the identity map, and the table is the same; the identifier is not printed."""
    client = connect(redis_settings)
    link = IdentityRecord(authority="MRN", value="4711", key=KEY, former="", used=written, version=1)
    RedisIdentityStore(client, redis_settings.prefix).rebuild([msgspec.json.encode(link)])
    client.close()
    done = cli("features", "MRN|4711", "--config", config)
    assert done.code == 0, done.err
    assert "heart_rate" in done.out
    assert "4711" not in done.out


@pytest.mark.parametrize("who", ["nobody", "MRN|4712"])
def test_nobody_is_no_traceback(cli, config, written, who):
    """An unknown key or identifier is told as that."""
    done = cli("features", who, "--config", config)
    assert (done.code, done.out) == (1, "")
    assert "no such patient" in done.err


def test_a_redis_without_workers_is_said(cli, config):
    """A prefix that no worker has used is named."""
    done = cli("features", KEY, "--config", config)
    assert done.code == 1
    assert "no worker has run" in done.err


def test_a_redis_that_is_not_there_is_said(cli, tmp_path):
    """The address that does not answer is told, with what to check."""
    path = tmp_path / "wardstream.toml"
    path.write_text(f"[redis]\nport = {free_ports(1)[0]}\n")
    done = cli("features", KEY, "--config", path)
    assert done.code == 1
    assert "cannot be reached" in done.err


def test_a_folder_and_the_live_service_are_two(cli, tmp_path):
    """Naming both is wrong usage."""
    assert cli("features", KEY, "--live", "--data-dir", tmp_path).code == 2
