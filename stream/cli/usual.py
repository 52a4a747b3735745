"""`wardstream models usual`: a person says that what a feed sends of a feature is as it is to be from now on.

Owns the command. Must not know how values are watched (models/drift/feeds.py), nor what holds a promotion.
"""

from __future__ import annotations

from pathlib import Path

import click

from stream.cli import EXIT_DONE
from stream.cli.deciding import send, site_option
from stream.cli.options import read_site
from stream.clock import wall_ms
from stream.settings import ConfigurationError

HELP = """Let what a feed sends of a feature from now on be what its monitor holds later values against.

For a change that is meant: a new analyser, another unit that is mapped. Its finding (feed_values, FEED|FEATURE) is let
go, and a new reference is made of the next 500 patients' values. It is written to examples.v1, where the learner's
process hears it; no score changes by it. Where the values are wrong, mend the feed instead.

\b
Example:
  wardstream models usual LAB lactate --config wardstream.toml
"""


@click.command("usual", help=HELP)
@click.argument("feed")
@click.argument("feature")
@site_option
def usual(feed: str, feature: str, config_path: Path) -> int:
    """Write the word down."""
    from connectors.kafka.record import Record
    from connectors.kafka.topics import EXAMPLES, topic_headers
    from features.catalogue import default_catalogue
    from stream.live.examples import encode_example, told
    from stream.live.monitor_fold import NAME, ToldUsual, encode_word
    from stream.live.telling import SOURCE

    if feature not in (one.name for one in default_catalogue().features):
        raise ConfigurationError(f"{feature} is no feature: name it as the finding does, such as lactate")
    at = wall_ms()
    example = told(NAME, encode_word(ToldUsual(feed, feature)), at)
    headers = topic_headers(EXAMPLES, example.example_id, SOURCE, at)
    send(read_site(config_path), Record(EXAMPLES, NAME.encode(), encode_example(example), headers))
    click.echo(
        f"What {feed} sends of {feature} from here on is the reference; its finding goes with the learner's next look."
    )
    return EXIT_DONE
