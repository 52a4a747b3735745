"""Connecting to Redis: what is wrong is said in words that help, and never with the password."""

from __future__ import annotations

import msgspec
import pytest

from connectors.local.ports import free_ports
from connectors.redis.connection import RedisConnectionError
from connectors.redis.settings import RedisSettings

SECRET = "a-very-secret-word"  # noqa: S105 - of a server that lives for a test
ADMIN = "of-the-bench"


def refusal(opened, settings, password="", timeout_s=3.0):
    """Connect, and give what the operator is told."""
    with pytest.raises(RedisConnectionError) as told:
        opened(settings, password, timeout_s)
    said = str(told.value)
    assert SECRET not in said
    assert str(settings.port) in said or "[redis]" in said
    return said


def test_nobody_listens(opened):
    """A port that nobody listens on is told with host and port."""
    assert "cannot be reached" in refusal(opened, RedisSettings(port=free_ports(1)[0]))


def test_a_server_that_says_nothing(opened, own_redis):
    """A server that hangs is told as no answer within the time-out."""
    server = own_redis()
    server.freeze()
    assert "did not answer within 1 s" in refusal(opened, server.settings(), timeout_s=1.0)


@pytest.mark.parametrize(("user", "password"), [("ward", "wrong"), ("nobody", SECRET), ("", ""), ("ward", "")])
def test_a_wrong_user_or_password(opened, own_redis, user, password):
    """Wrong, unknown and missing names and passwords are told as such, with the variable to look at."""
    server = own_redis(users={"ward": f"on >{SECRET} ~* +@all"}, admin_password=ADMIN)
    said = refusal(opened, server.settings(username=user), password)
    assert "WARDSTREAM_REDIS_PASSWORD" in said


def test_the_right_user_and_password(opened, own_redis):
    """An ACL user with its password is let in."""
    server = own_redis(users={"ward": f"on >{SECRET} ~* +@all"}, admin_password=ADMIN)
    assert opened(server.settings(username="ward"), SECRET).ping()


def test_tls_with_a_certificate_of_our_own(opened, own_redis):
    """A server that wants certificates of its clients is reached with one, and not without."""
    server = own_redis(tls=True, client_certificates=True)
    settings = server.settings()
    assert opened(settings).ping()
    without = msgspec.structs.replace(settings, cert_file="", key_file="")
    assert refusal(opened, without)


def test_tls_without_and_without_tls(opened, own_redis):
    """Speaking plainly to a TLS server, and TLS to a plain one, are each told with the setting to change."""
    secured, plain = own_redis(tls=True), own_redis()
    assert "tls = true" in refusal(opened, RedisSettings(port=secured.port))
    wrong = msgspec.structs.replace(secured.settings(), port=plain.port)
    assert "tls" in refusal(opened, wrong)


def test_a_certificate_that_nobody_vouches_for(opened, own_redis):
    """A server whose authority we do not trust is refused."""
    secured, other = own_redis(tls=True), own_redis(tls=True)
    wrong = msgspec.structs.replace(secured.settings(), ca_file=other.settings().ca_file)
    assert "ca_file" in refusal(opened, wrong)


def test_a_file_that_is_not_there(opened, own_redis):
    """A path of TLS that names no file is told as that."""
    secured = own_redis(tls=True)
    wrong = msgspec.structs.replace(secured.settings(), ca_file="/nowhere/ca.pem")
    assert "ca_file" in refusal(opened, wrong)


def test_cluster_is_said_of_what_is_none(opened, own_redis):
    """A single Redis that is configured as a cluster is told as that."""
    wrong = msgspec.structs.replace(own_redis().settings(), cluster=True)
    assert "cluster = false" in refusal(opened, wrong)


def test_a_user_who_may_do_nothing(opened, own_redis):
    """A user without rights is told where the rules are."""
    server = own_redis(users={"ward": f"on >{SECRET} ~* -@all"}, admin_password=ADMIN)
    assert "docs/redis.md" in refusal(opened, server.settings(username="ward"), SECRET)
