"""Whose turn it is to ask a FHIR server, kept in Redis for several gateways.

Owns the keys and the script. Must not know what is asked. A turn lasts for some looks and is taken anew with each;
whoever dies leaves it to the next when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connectors.fhir_sources.turns import Turn
from connectors.redis.connection import RedisConnectionError, connect
from connectors.redis.faults import FAULTS
from connectors.redis.layout import Client
from connectors.redis.settings import RedisSettings

HEARD_KEPT_MS = 7 * 86_400_000
"""A count that nobody adds to is forgotten."""
LOOKS = 3
"""A turn lasts for so many looks, so that a slow one does not lose it."""
TURN_MS_MIN = 30_000

_TAKE = """
if ARGV[2] ~= '0' then
  redis.call('INCRBY', KEYS[2], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
local owner = redis.call('GET', KEYS[1])
local mine = 0
if not owner or owner == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  mine = 1
end
return {mine, tonumber(redis.call('GET', KEYS[2]) or '0')}
"""
_GIVE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisTurns:
    """The turns of one server for one gateway. `owner` names this process among all others."""

    def __init__(
        self,
        settings: RedisSettings,
        password: str,
        name: str,
        owner: str,
        *,
        poll_s: float,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._settings = settings
        self._password = password
        tag = f"{settings.prefix}:{{fhir-source-{name}}}"
        self._keys = [f"{tag}:turn", f"{tag}:heard"]
        self._owner = owner
        self._turn_ms = max(TURN_MS_MIN, int(poll_s * LOOKS * 1_000))
        self._warn = warn
        self._client: Client | None = None
        self._unsent = 0
        self._turn = Turn()
        self._total = 0
        self._warned = False

    async def take(self, heard: int) -> Turn:
        """Take or keep the turn; ours too where Redis cannot be asked."""
        self._unsent += heard
        try:
            mine, total = await asyncio.to_thread(self._take, self._unsent)
        except (RedisConnectionError, *FAULTS):
            if not self._warned:
                self._warn(
                    "Redis does not say whose turn it is: each gateway asks, which does no harm but twice the work"
                )
            self._warned = True
            self._turn = Turn(mine=True, heard=self._total + self._unsent)
        else:
            self._unsent, self._warned, self._total = 0, False, total
            self._turn = Turn(bool(mine), total)
        return self._turn

    async def give_back(self) -> None:
        """Let another gateway take it at once, where Redis can be told."""
        try:
            await asyncio.to_thread(self._give_back)
        except (RedisConnectionError, *FAULTS):
            return  # it ends by itself

    def _take(self, heard: int) -> tuple[int, int]:
        client = self._client = self._client or connect(self._settings, self._password)
        arguments = (self._owner, str(heard), str(self._turn_ms), str(HEARD_KEPT_MS))
        answer = client.eval(_TAKE, len(self._keys), *self._keys, *arguments)
        assert isinstance(answer, list), "the script answers with a list"
        mine, total = answer
        return int(mine), int(total)

    def _give_back(self) -> None:
        if self._client is not None:
            self._client.eval(_GIVE_BACK, 1, self._keys[0], self._owner)
            self._client.close()
