"""What is wrong with a live installation's Kafka, and what to do: each fault of configuration found and named.

Owns the checks of the broker, its topics, the members of its groups and what people decided. Must not know how anything
is mended: each finding names the step. It changes nothing, and joins no group.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from connectors.kafka.admin import Change, inspect, open_admin
from connectors.kafka.connection import client_options
from connectors.kafka.faults import BrokerError, ConnectionSettingsError, UnreachableError
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.settings import PASSWORD_VARIABLE, KafkaSettings
from connectors.kafka.topics import CONTROL, EVENTS, MODELS
from events import MILLIS_PER_DAY, Millis, Promotion
from models.version import ModelVersion
from stream.decisions import Decisions
from stream.live.versions import LiveVersions
from stream.live_settings import STAGES, LiveSettings
from stream.records import UNHEARD_RETENTION_MS

PROBE_S = 3.0
"""How long a port has to answer a TLS greeting."""
FUTURE_MS_MAX = 2_000
"""A record from further in the future than this was stamped by another clock than ours."""
NEWEST_RECORDS = 5
"""Of each partition, looked at for their times."""
WATCH_S = 4.0
"""How long members of groups are watched; a worker that is thrown out is started again within a second or two."""
WATCH_STEP_S = 0.5
UUID_CHARS = 36

PortKind = Literal["closed", "plain", "tls", "untrusted"]


class Finding(NamedTuple):
    """One thing looked at."""

    well: bool
    subject: str
    remedy: str = ""
    """What to do if it is not well."""


class KafkaDoctor:
    """Looks at one installation's Kafka."""

    def __init__(
        self,
        kafka: KafkaSettings,
        live: LiveSettings,
        password: str,
        shipped: Mapping[str, ModelVersion],
        *,
        now: Millis,
    ) -> None:
        self._kafka = kafka
        self._live = live
        self._password = password
        self._shipped = shipped
        self._now = now

    async def examine(self) -> list[Finding]:
        """Look at everything; where the broker cannot be reached nothing else can be looked at."""
        reached = await self._reach()
        if not reached.well:
            return [reached]
        try:
            changes = await inspect(self._kafka, self._password)
        except BrokerError as fault:
            return [reached, Finding(False, "topics", str(fault))]
        findings = [reached, *_topics(changes), _retention(changes)]
        present = {change.declaration.topic.name for change in changes if change.action != "missing"}
        if EVENTS in present:
            findings.append(await self._clocks())
        if {CONTROL, MODELS} <= present:
            decisions = await self._decisions()
            findings += [await self._versions(decisions), _trust(decisions)]
        findings.append(await self._instances())
        return findings

    # -- reaching it ------------------------------------------------------------------------------------------------

    async def _reach(self) -> Finding:
        subject = f"Kafka at {self._kafka.bootstrap} ({self._kafka.security})"
        try:
            async with open_admin(self._kafka, self._password):
                return Finding(True, subject)
        except ConnectionSettingsError as fault:
            return Finding(False, subject, str(fault))
        except UnreachableError as fault:
            return Finding(False, subject, await self._why(str(fault)))

    async def _why(self, fault: str) -> str:
        """Look at the ports themselves: what a client says of a wrong protocol is that nobody answered."""
        kafka = self._kafka
        if "refused the login" in fault or "does not allow" in fault:
            return fault
        encrypted = kafka.security in ("ssl", "sasl_ssl")
        context = client_options(kafka, self._password).get("ssl_context")
        kinds = {await probe(address, context) for address in kafka.bootstrap.split(",")}
        better = "'sasl_ssl'" if kafka.security == "sasl_plaintext" else "'ssl' or 'sasl_ssl'"
        reasons = (
            (kinds == {"closed"}, f"nothing listens at {kafka.bootstrap}: start Kafka, or mend kafka.bootstrap"),
            (
                not encrypted and bool(kinds & {"tls", "untrusted"}),
                f"that port speaks TLS, and kafka.security is {kafka.security!r}: set it to {better}",
            ),
            (
                encrypted and "untrusted" in kinds,
                "the broker's certificate is not trusted: kafka.ca_file must be the authority that signed it, and the "
                "certificate must be for the name in kafka.bootstrap",
            ),
            (
                encrypted and "plain" in kinds,
                f"that port does not speak TLS, and kafka.security is {kafka.security!r}: mend one of the two",
            ),
            (
                kafka.security in ("plaintext", "ssl"),
                f"the broker hung up, as one that asks for a login does: set kafka.security 'sasl_ssl' then ({fault})",
            ),
            (
                kafka.security in ("sasl_plaintext", "sasl_ssl"),
                f"the port answers, and the login of {kafka.username!r} did not come through: check kafka.username, "
                f"kafka.sasl_mechanism and the password in {PASSWORD_VARIABLE} ({fault})",
            ),
        )
        return next((words for holds, words in reasons if holds), fault)

    # -- what the log says ------------------------------------------------------------------------------------------

    async def _clocks(self) -> Finding:
        """Records from the future: their writer's clock and ours do not agree."""
        ranges = await log_range(self._kafka, EVENTS, password=self._password)
        since = {number: max(begin, end - NEWEST_RECORDS) for number, (begin, end) in ranges.items()}
        newest = 0
        async for record in read_topic(self._kafka, EVENTS, password=self._password, since=since):
            newest = max(newest, record.record_time)
        ahead = newest - self._now
        return Finding(
            ahead <= FUTURE_MS_MAX,
            "clocks of this machine and of who writes to Kafka",
            f"{EVENTS} has a record from {ahead / 1000:.1f} s in the future: set both clocks by one NTP source",
        )

    async def _decisions(self) -> Decisions:
        decisions = Decisions()
        async for record in read_topic(self._kafka, CONTROL, password=self._password):
            decisions.take(record.offset, record.value, record.record_time)
        return decisions

    async def _versions(self, decisions: Decisions) -> Finding:
        versions = LiveVersions(self._shipped, self._live.version_keys)
        async for record in read_topic(self._kafka, MODELS, password=self._password):
            versions.take(record.key, record.value, record.headers)
        standing = decisions.standing_promotions()
        event = standing[-1].decision.event if standing else None
        promoted = event.version if isinstance(event, Promotion) else ""
        subject = f"the promoted model version: {promoted or 'none, NEWS2 alone'}"
        if not promoted or promoted in versions:
            problems = versions.problems()
            return Finding(not problems, subject, "; ".join(problems))
        if versions.refused:
            advice = "see" if self._live.version_keys else "no key is trusted: set"
            told = "; ".join(versions.problems())
            return Finding(False, subject, f"it is on {MODELS} and is refused; {advice} [live] version_keys. {told}")
        advice = "publish it (`wardstream models publish`) or roll back; until then NEWS2 alone scores"
        return Finding(False, subject, f"it is not on {MODELS}: {advice}")

    # -- who is there -----------------------------------------------------------------------------------------------

    async def _instances(self) -> Finding:
        """Watch the groups: where one name stands for one member after the other, two workers have it."""
        subject = "each worker has a name of its own"
        seen: defaultdict[str, set[str]] = defaultdict(set)
        groups = [f"{self._kafka.prefix}wardstream.{stage}" for stage in STAGES]
        try:
            async with open_admin(self._kafka, self._password) as client, asyncio.timeout(WATCH_S + PROBE_S):
                for _ in range(int(WATCH_S / WATCH_STEP_S)):
                    for name, member in await _members(client, groups):
                        seen[name].add(member)
                    if not seen:
                        return Finding(True, "workers: none is running")
                    await asyncio.sleep(WATCH_STEP_S)
        except (BrokerError, KafkaError, TimeoutError) as fault:
            return Finding(True, f"{subject} (not looked at: {type(fault).__name__})")
        doubled = sorted(name for name, members in seen.items() if len(members) > 1)
        return Finding(
            not doubled,
            subject,
            f"{', '.join(doubled)}: members of that name replace one another; two processes have the same [live] name "
            "(or none, on one host): give each its own, with --name",
        )


def _trust(decisions: Decisions) -> Finding:
    """Say whose signature counts, and what is on the topic and does not count."""
    keys = ", ".join(decisions.keys)
    subject = (
        f"decisions: signed by {keys}" if keys else "decisions: no key is declared, who may write the topic decides"
    )
    return Finding(not decisions.problems(), subject, "; ".join(decisions.problems()))


async def _members(client: AIOKafkaAdminClient, groups: list[str]) -> list[tuple[str, str]]:
    """Give (instance name, member id) of every member: Kafka makes the id of the name, a hyphen and a UUID."""
    return [
        (member["member_id"][: -UUID_CHARS - 1], member["member_id"])
        for name in groups
        # One at a time: aiokafka reads an answer of several groups wrongly (it asks by version 3, and decodes 2).
        for answer in await client.describe_consumer_groups([name])
        for group in answer.to_object()["groups"]
        for member in group["members"]
    ]


def _topics(changes: list[Change]) -> list[Finding]:
    """One finding for all that are well, one for each that is not."""
    wrong = [Finding(False, f"topic {change.declaration.name}", "; ".join(change.differences))
             for change in changes if change.differences]  # fmt: skip
    well = sum(not change.differences for change in changes)
    return [*wrong, Finding(True, f"topics as declared: {well} of {len(changes)}")]


def _retention(changes: list[Change]) -> Finding:
    """States are folded anew from the log: it must reach back before anybody who is still here came."""
    kept = next(
        change.declaration.config["retention.ms"] for change in changes if change.declaration.topic.name == EVENTS
    )
    days, least = float(kept) / MILLIS_PER_DAY, UNHEARD_RETENTION_MS / MILLIS_PER_DAY
    return Finding(
        days < 0 or days > least,
        f"{EVENTS} is to be kept for {days:g} days" if days >= 0 else f"{EVENTS} is kept for good",
        f"a state that Redis loses is folded anew from there, and a patient may be here longer: set kafka.events_days "
        f"above {least:g} and above your longest stay, then `wardstream topics declare --alter`",
    )


async def probe(address: str, trusted: ssl.SSLContext | None) -> PortKind:
    """Say what a port speaks: TLS, TLS by a certificate that is not trusted, something else, or nothing."""
    host, _, port = address.strip().rpartition(":")
    host = host.strip("[]")
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
    except (OSError, TimeoutError):
        return "closed"
    if not await _greets(host, int(port), _credulous()):
        return "plain"
    return "tls" if trusted is None or await _greets(host, int(port), trusted) else "untrusted"


async def _greets(host: str, port: int, context: ssl.SSLContext) -> bool:
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return True


def _credulous() -> ssl.SSLContext:
    """Trust anybody: only whether TLS is spoken is asked, and nothing is sent."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
