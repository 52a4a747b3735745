"""Whether a FHIR server can be asked as it is configured: reached, let in, and doing what polling rests on.

Owns the questions and what each answer means. Must not know who asks. Nothing is changed on the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlencode

from connectors.fhir_sources.client import Sleep, SourceClient
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.pages import changed_since, read_page
from connectors.fhir_sources.polling import walk
from connectors.fhir_sources.receiving import read_hook_secret
from connectors.fhir_sources.settings import FhirServer
from connectors.fhir_sources.subscribing import read_there
from events import MILLIS_PER_DAY, MILLIS_PER_SECOND, Millis

Finding = tuple[bool, str, str]
"""(well, what was looked at, what to do if not well)."""
CLOCK_S_MAX = 60
"""Told where the server's clock is further off: polling goes by the server's, ages of values by what it says."""


async def examine(
    name: str, server: FhirServer, now: Callable[[], Millis], *, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[Finding]:
    """Ask a server; each finding names the step."""
    for finding in _files(name, server):
        yield finding
    client = SourceClient(server, sleep=sleep)
    try:
        for kind in server.types:
            try:
                answer = await client.get(changed_since(kind, now() + MILLIS_PER_DAY, 1))
                found = read_page(answer.body).found
            except FhirSourceError as fault:
                yield False, f"FHIR source {name}, {kind}: {fault}", fault.advice
                if fault.passes or fault.kind == "no_token":
                    return  # it is of the server, not of this type
                continue
            remedy = "the server passes over _lastUpdated: each look would read all there is; ask its vendor"
            yield not found, f"FHIR source {name}, {kind}: what has changed can be asked for", remedy
            if kind == server.types[0] and answer.server_time is not None:
                off_s = abs(answer.server_time - now()) // MILLIS_PER_SECOND
                text = f"FHIR source {name}: its clock is {off_s} s off ours"
                yield off_s <= CLOCK_S_MAX, text, "set both by NTP: a value of the future is refused"
        if server.subscription.style != "none":
            yield await _subscriptions(name, server, client)
    finally:
        await client.close()


def _files(name: str, server: FhirServer) -> list[Finding]:
    """Look at files of secrets: there, and nobody else's to read."""
    chosen = server.subscription
    wanted = {
        "token_file": server.token_file,
        "smart.key_file": server.smart.key_file,
        "subscription.secret_file": chosen.secret_file if chosen.style != "none" else "",
    }
    findings: list[Finding] = []
    for key, text in wanted.items():
        if not text:
            continue
        path = Path(text)
        subject = f"FHIR source {name}, {key}"
        if not path.is_file():
            findings.append((False, subject, "there is no such file"))
            continue
        mode = path.stat().st_mode & 0o077
        findings.append((mode == 0, subject, "chmod 600: whoever reads it is taken for us, or for the server"))
    if wanted["subscription.secret_file"] and Path(chosen.secret_file).is_file():
        try:
            read_hook_secret(Path(chosen.secret_file))
        except FhirSourceError as fault:
            findings.append((False, f"FHIR source {name}, {fault}", "write a long random secret into it"))
    return findings


async def _subscriptions(name: str, server: FhirServer, client: SourceClient) -> Finding:
    endpoint = server.subscription.endpoint
    try:
        found = [
            read_there(one)
            async for page, _ in walk(client, f"Subscription?{urlencode({'url': endpoint})}")
            for one in page.found
        ]
    except FhirSourceError as fault:
        return False, f"FHIR source {name}, its subscriptions: {fault}", fault.advice
    states = [one.status for one in found if one is not None and one.endpoint == endpoint]
    failed = [one for one in states if one not in {"requested", "active"}]
    text = f"FHIR source {name}: {len(states)} subscriptions of ours, {states.count('active')} active"
    return not failed, text, "the running service makes failed ones anew: see its log, fhir_subscription_remade"
