"""`wardstream gateway`: the front of the live service.

Owns the command: its options and where its secrets come from. Must not know how a gateway works.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click
import msgspec

from connectors.kafka.settings import PASSWORD_VARIABLE as KAFKA_PASSWORD_VARIABLE
from connectors.redis.settings import PASSWORD_VARIABLE as REDIS_PASSWORD_VARIABLE
from stream.cli.listening import make_room_for_connections, put_off_hang_ups, read_token, serve
from stream.cli.options import code_version, config_option, read_pseudonyms, read_site
from stream.live.gateway import Gateway
from stream.logs import set_up_logs
from stream.people_file import PeopleFile
from stream.service_settings import PORT_MAX

HELP = """Take HL7 v2 and FHIR in for the live service, and show its board and alerts; Kafka and Redis behind it.

AA, or HTTP 200, means: Kafka has acknowledged the message, all its copies. Run as many as you like behind a load
balancer that keeps a connection on one of them. When it listens, one line of JSON on standard output says where; logs
are JSON on standard error. SIGTERM stops it in order; killed, it loses nothing that it acknowledged.
SIGHUP reads [people] again.

\b
Try it:
  wardstream live up          (brings up everything, this too)
  wardstream gateway --config wardstream.toml

\b
Settings: [kafka], [redis], [live], and of [service] what listens (see docs/operations.md).
Environment: WARDSTREAM_KAFKA_PASSWORD, WARDSTREAM_REDIS_PASSWORD, WARDSTREAM_HTTP_TOKEN (needed where HTTP listens
beyond loopback), WARDSTREAM_PSEUDONYM_KEY (the workers' own; the canary is known by it).
"""


@click.command("gateway", help=HELP)
@click.option("--mllp-port", type=click.IntRange(0, PORT_MAX), help="Default 2575; 0 takes a free one.")
@click.option("--http-port", type=click.IntRange(0, PORT_MAX), help="Default 8080; 0 takes a free one.")
@config_option
def command(mllp_port: int | None, http_port: int | None, config_path: Path | None) -> int:
    """Run until told to stop."""
    site = read_site(config_path)
    given = {"mllp_port": mllp_port, "http_port": http_port}
    service = msgspec.structs.replace(site.service, **{name: port for name, port in given.items() if port is not None})
    token = read_token(service)
    log = set_up_logs(site.live.log_level)
    people = PeopleFile(config_path, site.people, log)
    put_off_hang_ups(people)
    site = msgspec.structs.replace(site, service=make_room_for_connections(service, log))
    pseudonyms = read_pseudonyms()
    log.info("opening", version=code_version())

    def make() -> Gateway:
        gateway = Gateway(
            site,
            version=code_version(),
            log=log,
            token=token,
            kafka_password=os.environ.get(KAFKA_PASSWORD_VARIABLE, ""),
            redis_password=os.environ.get(REDIS_PASSWORD_VARIABLE, ""),
            pseudonyms=pseudonyms,
        )
        people.begin(gateway.use_people)
        return gateway

    advice = "start again: nothing acknowledged is lost"
    return asyncio.run(serve(make, log, advice=advice, hang_up=people.reread))
