"""The Lua scripts that make one call of many keys atomic and fenced.

Owns the scripts' text and how one is called. Must not know Python's side of a store: `partition_store` gives arguments
and reads answers. The first line of each (`#!lua`) asks Redis 7 to check memory and disk before a script begins, so
that a full Redis refuses a commit whole.

Every script's answer begins with a word: OK, FENCED (a newer epoch was taken), LOST (the store is not as it was left,
with the reason), GONE (a state is missing: nothing in this store can be trusted) or BACK (the watermark would fall).
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from connectors.redis.layout import Client

ARGUMENTS_MAX = 4_000
"""Values that one redis.call is given: Lua unpacks at most some 8,000 on its stack."""

_GUARD = """
-- meta: epoch, watermark, commit (the number of the last commit under this epoch), keys (how many are in the index),
-- torn (1 while a commit writes: what is left at 1 was written by half).
local function state_of(meta, index)
    local m = redis.call('HMGET', meta, 'epoch', 'watermark', 'commit', 'keys', 'torn')
    return {epoch = m[1], watermark = m[2], mark = (m[3] or '') .. ':' .. (m[2] or ''),
            whole = redis.call('ZCARD', index) == tonumber(m[4] or '-1') and m[5] ~= '1'}
end
-- marks: every 'commit:watermark' that the caller can have left, with a space before and after each.
local function refusal(found, epoch, marks)
    if epoch == '' then return nil end
    if not found.epoch then return {'LOST', 'wiped'} end
    if tonumber(found.epoch) > tonumber(epoch) then return {'FENCED', found.epoch} end
    if tonumber(found.epoch) < tonumber(epoch) then return {'LOST', 'an older epoch'} end
    if not string.find(marks, ' ' .. found.mark .. ' ', 1, true) then return {'LOST', 'another watermark'} end
    if not found.whole then return {'LOST', 'keys are missing'} end
    return nil
end
"""

_CHUNKS = f"""
-- Gathers arguments for one command and sends them a bounded number at a time: a command of its own for each key is
-- slow, and one for all of them is more than Lua can unpack.
local function sender(command, first)
    local batch, size, fixed = {{command, first}}, first and 2 or 1, first and 2 or 1
    local function flush()
        if size > fixed then redis.call(unpack(batch, 1, size)) end
        size = fixed
    end
    local function add(one, other)
        batch[size + 1] = one
        size = size + 1
        if other then
            batch[size + 1] = other
            size = size + 1
        end
        if size >= {ARGUMENTS_MAX} then flush() end
    end
    return add, flush
end
"""

_EMPTYING = """
local function empty(index, states, views)
    local gone, flush = sender('UNLINK')
    for _, key in ipairs(redis.call('ZRANGE', index, 0, -1)) do
        gone(states .. key, views .. key)
    end
    flush()
    redis.call('UNLINK', index)
end
"""


class Script(NamedTuple):
    """One script: its text, and the name that Redis knows it by once it has run it."""

    text: str
    sha: str

    def run(self, client: Client, keys: list[bytes], arguments: list[Any]) -> list[Any]:
        """Call it: by its name, and with its text where Redis does not know it (yet, or after a restart)."""
        try:
            answer = client.evalsha(self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            answer = client.eval(self.text, len(keys), *keys, *arguments)
        assert isinstance(answer, list), "each of our scripts answers with a list"
        return answer


def _script(flags: str, *parts: str) -> Script:
    text = "\n".join((f"#!lua flags={flags}" if flags else "#!lua", *parts))
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


ACQUIRE = _script(
    # Also where memory is full: a worker has to be able to read, to say what is the matter, and to empty what is torn.
    "allow-oom",
    _GUARD,
    _CHUNKS,
    _EMPTYING,
    """
-- KEYS: meta, index. ARGV: what stands before the name of a state and of a view.
-- An epoch is above every one there was, also above those that a restored snapshot has forgotten: hence the time.
local found = state_of(KEYS[1], KEYS[2])
local now = redis.call('TIME')
local epoch = math.max(tonumber(found.epoch or '0') + 1, tonumber(now[1]) * 1000000 + tonumber(now[2]))
epoch = string.format('%.0f', epoch)
local whole, watermark = 1, found.watermark
if not found.watermark or not found.whole then
    -- Not to be trusted, whatever it is: as if there were nothing, so that the log is folded from its beginning.
    whole = (found.epoch or redis.call('EXISTS', KEYS[2]) == 1) and 0 or 1
    empty(KEYS[2], ARGV[1], ARGV[2])
    watermark = '-1'
    redis.call('HSET', KEYS[1], 'keys', '0')
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'watermark', watermark, 'commit', '0', 'torn', '0')
return {'OK', epoch, watermark, whole}
""",
)

COMMIT = _script(
    "",
    _GUARD,
    _CHUNKS,
    """
-- KEYS: meta, index, p keys to set for good, t keys to set for a time, keys to delete.
-- ARGV: epoch, marks, commit number, watermark, p, t, pairs in the index, least time to live (ms); then p values,
-- t times (value, expiry), the pairs (score, member), and the members that leave the index.
local found = state_of(KEYS[1], KEYS[2])
local own = ARGV[3] .. ':' .. ARGV[4]
local refused = refusal(found, ARGV[1], ARGV[2] .. own .. ' ')
if refused then return refused end
if found.mark == own then return {'OK', 'again'} end
if tonumber(ARGV[4]) < tonumber(found.watermark) then return {'BACK', found.watermark} end
redis.call('HSET', KEYS[1], 'torn', '1')
local p, t, pairs_count = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now = redis.call('TIME')
now = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local key, value = 2, 8
local add, flush = sender('MSET')
for i = 1, p do add(KEYS[key + i], ARGV[value + i]) end
flush()
key, value = key + p, value + p
for i = 1, t do
    local at = math.max(tonumber(ARGV[value + 2 * i]), now + tonumber(ARGV[8]))
    redis.call('SET', KEYS[key + i], ARGV[value + 2 * i - 1], 'PXAT', string.format('%.0f', at))
end
key, value = key + t, value + 2 * t
add, flush = sender('UNLINK')
for i = key + 1, #KEYS do add(KEYS[i]) end
flush()
add, flush = sender('ZADD', KEYS[2])
for i = 1, pairs_count do add(ARGV[value + 2 * i - 1], ARGV[value + 2 * i]) end
flush()
value = value + 2 * pairs_count
add, flush = sender('ZREM', KEYS[2])
for i = value + 1, #ARGV do add(ARGV[i]) end
flush()
redis.call('HSET', KEYS[1], 'watermark', ARGV[4], 'commit', ARGV[3], 'keys', redis.call('ZCARD', KEYS[2]),
    'written', string.format('%.0f', now), 'torn', '0')
return {'OK', 'written'}
""",
)

LOAD = _script(
    "no-writes",
    _GUARD,
    f"""
-- KEYS: meta, index, the states. ARGV: epoch, marks, then the states' keys as the index has them.
local found = state_of(KEYS[1], KEYS[2])
local refused = refusal(found, ARGV[1], ARGV[2])
if refused then return refused end
local answer, last = {{'OK'}}, #KEYS - 2
for first = 1, last, {ARGUMENTS_MAX} do
    local to = math.min(first + {ARGUMENTS_MAX} - 1, last)
    local states = redis.call('MGET', unpack(KEYS, first + 2, to + 2))
    local scores = redis.call('ZMSCORE', KEYS[2], unpack(ARGV, first + 2, to + 2))
    for i, state in ipairs(states) do
        -- Evicted or expired: what it held is gone, and a fold without it would be wrong.
        if scores[i] and not state then return {{'GONE', 'a state is missing'}} end
        -- A state that is not in the index is left over from a store that was emptied: there is none.
        answer[#answer + 1] = scores[i] and state or false
    end
end
return answer
""",
)

INDEX = _script(
    "no-writes",
    _GUARD,
    """
-- KEYS: meta, index. ARGV: epoch, marks, lowest and highest deadline. Answers key, deadline, key, deadline...
local refused = refusal(state_of(KEYS[1], KEYS[2]), ARGV[1], ARGV[2])
if refused then return refused end
return {'OK', redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[3], ARGV[4], 'WITHSCORES')}
""",
)

CLEAR = _script(
    "allow-oom",
    _GUARD,
    _CHUNKS,
    _EMPTYING,
    """
-- KEYS: meta, index. ARGV: epoch, marks, commit number, what stands before the name of a state and of a view.
local found = state_of(KEYS[1], KEYS[2])
local refused = refusal(found, ARGV[1], ARGV[2] .. ARGV[3] .. ':-1 ')
if refused then return refused end
redis.call('HSET', KEYS[1], 'torn', '1')
empty(KEYS[2], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[1], 'watermark', '-1', 'commit', ARGV[3], 'keys', '0', 'torn', '0')
return {'OK'}
""",
)

CONDEMN = _script(
    "allow-oom",
    """
-- KEYS: meta. ARGV: epoch. Marks a store that misses states, so that whoever takes the next epoch folds it anew.
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then redis.call('HSET', KEYS[1], 'torn', '1') end
return {'OK'}
""",
)
