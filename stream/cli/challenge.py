"""`wardstream models challenge`: a person names a version that is to be tried in shadow, beside the champion.

Owns the command. Must not know how a challenger is asked (stream/live/contest.py), nor what its evidence comes to.
"""

from __future__ import annotations

from pathlib import Path

import click

from stream.cli import EXIT_DONE
from stream.cli.deciding import (
    Place,
    decide,
    key_option,
    read_decisions,
    read_versions,
    reason_option,
    site_option,
    who_option,
)
from stream.clock import wall_ms
from stream.settings import ConfigurationError

HELP = """Try a version in shadow beside the champion, on the rows that wards are scored by: nobody hears what it says.

VERSION is an id or the beginning of one, signed and published. The learner process (`wardstream learner`) asks it at
each score from then on, weighs it against the version in force once the outcomes are known, and lets the gates judge
(docs/change-control.md). Up to three take part: the newest of the learner's own candidates makes room for one that a
person named. It leaves when it is put in force, held or demoted.

\b
Examples:
  wardstream models challenge 4f1c --reason "learned on the new wards" --config wardstream.toml --as data-scientist
  wardstream models review --config wardstream.toml
"""


@click.command("challenge", help=HELP)
@click.argument("version")
@who_option
@reason_option
@key_option
@site_option
def challenge(version: str, who: str, reason: str, key_path: Path | None, config_path: Path) -> int:
    """Name a challenger."""
    from stream.contest_rows import SLOTS
    from stream.entrants import NAMED, entering, entrants
    from stream.promotion import champion_of
    from stream.versions import choose_version

    place = Place(config_path, None)
    versions, decisions = read_versions(place.site()), read_decisions(place)
    chosen = choose_version(version, versions)
    if not chosen or chosen == champion_of(decisions):
        raise ConfigurationError("it is in force: a challenger is another version than the one that speaks")
    if versions[chosen].lineage.learned_until is None:
        raise ConfigurationError(f"version {chosen} does not say up to when it learned: no row is surely new to it")
    each = {one.version: one for one in entrants(decisions, lambda name: name in versions)}
    if chosen in each and each[chosen].by == NAMED:
        click.echo(f"{chosen} takes part already.")
        return EXIT_DONE
    kept = [name for name, one in each.items() if one.by == NAMED and not one.stopped]
    if chosen not in each and len(kept) >= SLOTS:
        raise ConfigurationError(f"people named {', '.join(kept)}: there is no fourth place. Hold one, and it leaves")
    decide(place, entering(decisions, chosen, wall_ms(), by=NAMED, who=who, reason=reason), key_path=key_path)
    click.echo(f"See how it does: wardstream models review {place.option}")
    return EXIT_DONE
