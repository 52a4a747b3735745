"""`wardstream people`: what it prints lets in whom it says, and nothing secret is kept."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectors.acts.door import Door, sign_act
from connectors.signing import public_key
from stream.settings import parse_site

Cli = Callable[..., Any]
NURSES = ("people", "add", "cedar-nurses", "--role", "nurse", "--right", "acknowledge", "--right", "feedback")


def test_what_is_printed_lets_the_token_in_and_holds_its_hash_alone(cli: Cli) -> None:
    """The printed lines are a [people] table by which the printed token is that actor's; the token is not in them."""
    done = cli(*NURSES, "--ward", "Cedar")
    token = done.err.splitlines()[-1]
    people = parse_site(done.out).people
    who = Door(people).by_token(token)
    assert done.code == 0
    assert who is not None
    assert (who.actor, who.person.wards) == ("cedar-nurses", ("Cedar",))
    assert token not in done.out
    assert len(token) >= 43


def test_each_token_is_new(cli: Cli) -> None:
    """Asked twice, it gives two tokens."""
    assert cli(*NURSES).err != cli(*NURSES).err


def test_a_ward_system_signs_with_the_key_that_was_made(cli: Cli, tmp_path: Path) -> None:
    """With --signing-key the private half lies in a new file that only its owner reads, and what it signs is let in."""
    file = tmp_path / "pager.pem"
    done = cli("people", "add", "pager", "--role", "ward_system", "--right", "acknowledge", "--signing-key", str(file))
    door = Door(parse_site(done.out).people)
    who = door.by_signature(b"{}", "", sign_act(file.read_bytes(), b"{}"))
    assert getattr(who, "actor", None) == "pager"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    again = cli("people", "add", "pager", "--role", "ward_system", "--right", "acknowledge", "--signing-key", str(file))
    assert (again.code, file.read_bytes()) == (2, before)


def test_a_gateways_key_is_one_that_it_says_to_trust(cli: Cli, tmp_path: Path) -> None:
    """The printed lines name the key file and trust its public half."""
    file = tmp_path / "gateway.pem"
    people = parse_site(cli("people", "gateway-key", str(file)).out).people
    assert people.gateway_keys == (public_key(file.read_bytes()),)
    assert people.gateway_key_file == str(file)


def test_a_persons_name_is_no_actor(cli: Cli) -> None:
    """What does not look like a role or a pseudonym is refused, with what is expected."""
    done = cli("people", "add", "Jo Doe", "--role", "nurse", "--right", "acknowledge")
    assert done.code == 2
    assert "regex" in done.err


def test_people_are_listed_without_credentials(cli: Cli, tmp_path: Path) -> None:
    """The listing has who may do what, where, and by what; no hash."""
    config = tmp_path / "w.toml"
    config.write_text(cli(*NURSES, "--ward", "Cedar").out)
    told = cli("people", "list", "--config", str(config)).out
    assert all(word in told for word in ("cedar-nurses", "nurse", "acknowledge", "Cedar", "token"))
    assert parse_site(config.read_text()).people.actors["cedar-nurses"].token_sha256[:12] not in told


def test_the_doctor_says_where_nobody_is_asked_who_acts(cli: Cli, tmp_path: Path) -> None:
    """Without people the doctor says NOBODY and UNSIGNED; with signatures not required it finds that wrong."""
    assert "NOBODY may act" in cli("doctor").out.replace("\n", " ")
    config = tmp_path / "w.toml"
    config.write_text("[people]\nrequire_signed_acts = false\n" + cli(*NURSES).out)
    done = cli("doctor", "--config", str(config))
    assert done.code == 1
    assert "require_signed_acts is off" in done.out.replace("\n", " ")
