"""The Lua scripts of [parse]: one look, one claim and one commit a batch, each atomic and fenced.

Owns the scripts' text. Must not know what a link or a note says. Every answer begins with a word: OK, FENCED (a newer
epoch was taken), LOST (Redis is not as this worker left it, with the reason) or CHANGED (what was read is no longer so:
read again).

A restart of Redis may have lost its last second, or all. The server's own name (`run_id`) changes with it, so each
script compares that name: nothing is decided on a map that was put back by a restart before it was made whole again.
"""

from __future__ import annotations

from hashlib import sha1

from connectors.redis.scripts import ARGUMENTS_MAX, Script

RESTARTS_MAX = 1_000
"""Restarts of Redis remembered: a partition that was away over more is read anew from its beginning."""

_SERVER = """
local function millis()
    local now = redis.call('TIME')
    return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end
local function server() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or '' end
"""

_GUARD = """
local function refusal(place, epoch, watermark, other, run)
    local found = redis.call('HMGET', place, 'epoch', 'watermark')
    if not found[1] then return {'LOST', 'wiped'} end
    if tonumber(found[1]) > tonumber(epoch) then return {'FENCED', found[1]} end
    if found[1] ~= epoch then return {'LOST', 'an older epoch'} end
    if found[2] ~= watermark and found[2] ~= other then return {'LOST', 'another watermark'} end
    if server() ~= run then return {'LOST', 'Redis was started anew'} end
    return nil
end
"""

_VALUES = f"""
-- Calls `take` with the value of each of KEYS[first] to KEYS[last], in bounded portions.
local function each(first, last, take)
    for from = first, last, {ARGUMENTS_MAX} do
        take(redis.call('MGET', unpack(KEYS, from, math.min(from + {ARGUMENTS_MAX} - 1, last))))
    end
end
"""


def _script(flags: str, *parts: str) -> Script:
    text = "\n".join((f"#!lua flags={flags}" if flags else "#!lua", *parts))
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


TAKE = _script(
    "allow-oom",
    _SERVER,
    f"""
-- KEYS: meta, restarts, place, notes. Takes an epoch: above every one before, also above those that a restored snapshot
-- has forgotten. Answers OK, epoch, watermark, server, time, since, notes. `since` is empty, or the moment up to which
-- Redis certainly has everything: what came after it may have been lost.
local run, now = server(), millis()
if not redis.call('ZSCORE', KEYS[2], run) then
    redis.call('ZADD', KEYS[2], redis.call('HGET', KEYS[1], 'written') or '0', run)
    redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -{RESTARTS_MAX + 1})
end
local found = redis.call('HMGET', KEYS[3], 'epoch', 'watermark', 'server', 'written')
local since = ''
if found[3] ~= run then
    since = redis.call('ZRANGE', KEYS[2], found[4] or '0', '+inf', 'BYSCORE', 'LIMIT', '0', '1', 'WITHSCORES')[2] or '0'
end
local time = redis.call('TIME')
local epoch = math.max(tonumber(found[1] or '0') + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
epoch = string.format('%.0f', epoch)
redis.call('HSET', KEYS[3], 'epoch', epoch, 'watermark', found[2] or '-1')
return {{'OK', epoch, found[2] or '-1', run, string.format('%.0f', now), since, redis.call('HGETALL', KEYS[4])}}
""",
)

NOTES = _script(
    "no-writes",
    _SERVER,
    _GUARD,
    """
-- KEYS: place, notes. ARGV: epoch, watermark, server. What was claimed and not committed, and whether we own it still.
return refusal(KEYS[1], ARGV[1], ARGV[2], '', ARGV[3]) or {'OK', redis.call('HGETALL', KEYS[2])}
""",
)

LOOK = _script(
    "no-writes",
    _SERVER,
    _VALUES,
    """
-- KEYS: meta, v keys to read, then for each member the three buckets it may lie in. ARGV: v, slot, slot in ms, members.
-- Answers OK, version, a 0 or 1 for each member, the values by portions.
local v, now = tonumber(ARGV[1]), millis()
local slot = math.floor(now / tonumber(ARGV[3]))
if slot ~= tonumber(ARGV[2]) then return {'CHANGED', string.format('%.0f', now)} end
local answer = {'OK', redis.call('HGET', KEYS[1], 'version') or '0', ''}
each(2, v + 1, function(values) answer[#answer + 1] = cmsgpack.pack(values) end)
local known, key = {}, v + 2
for i = 4, #ARGV do
    local found = '0'
    for at = key, key + 2 do
        if redis.call('SISMEMBER', KEYS[at], ARGV[i]) == 1 then
            found = '1'
            break
        end
    end
    known[#known + 1] = found
    key = key + 3
end
answer[3] = table.concat(known)
return answer
""",
)

CLAIM = _script(
    "",
    _SERVER,
    _GUARD,
    _VALUES,
    """
-- KEYS: meta, place, notes, v keys as they were read, a bucket for each member, s keys to set, keys to delete.
-- ARGV: epoch (empty: no partition's), watermark, server, slot, slot in ms, digest of what was read, v, members, s,
-- life of what is set (ms), end of the buckets (ms), version, the note's field, the note; members; values to set.
local v, m, s = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local now = millis()
if ARGV[1] ~= '' then
    local refused = refusal(KEYS[2], ARGV[1], ARGV[2], '', ARGV[3])
    if refused then return refused end
    -- This very claim came before, and its answer was lost on the way.
    local noted = redis.call('HGET', KEYS[3], ARGV[13])
    if noted then return noted == ARGV[14] and {'OK', 'again'} or {'LOST', 'another claim'} end
end
if math.floor(now / tonumber(ARGV[5])) ~= tonumber(ARGV[4]) then return {'CHANGED', string.format('%.0f', now)} end
local parts = {}
each(4, v + 3, function(values)
    for _, value in ipairs(values) do parts[#parts + 1] = value and (#value .. ':' .. value) or '-' end
end)
if redis.sha1hex(table.concat(parts)) ~= ARGV[6] then return {'CHANGED', 'links'} end
local bucket, member = v + 3, 14
for i = 1, m do
    if redis.call('SISMEMBER', KEYS[bucket + i], ARGV[member + i]) == 1 then return {'CHANGED', 'claims'} end
end
for i = 1, m do
    redis.call('SADD', KEYS[bucket + i], ARGV[member + i])
    redis.call('PEXPIREAT', KEYS[bucket + i], ARGV[11])
end
local key, value = bucket + m, member + m
for i = 1, s do redis.call('SET', KEYS[key + i], ARGV[value + i], 'PX', ARGV[10]) end
for i = key + s + 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
if tonumber(ARGV[12]) > tonumber(redis.call('HGET', KEYS[1], 'version') or '0') then
    redis.call('HSET', KEYS[1], 'version', ARGV[12])
end
if ARGV[1] ~= '' then
    redis.call('HSET', KEYS[3], ARGV[13], ARGV[14])
    redis.call('HSET', KEYS[1], 'written', string.format('%.0f', now))
end
return {'OK', 'written'}
""",
)

COMMIT = _script(
    "allow-oom",  # It frees more than it takes.
    _SERVER,
    _GUARD,
    """
-- KEYS: meta, place, notes. ARGV: epoch, watermark as we left it, server, new watermark, fields of the notes that are
-- done with.
local refused = refusal(KEYS[2], ARGV[1], ARGV[2], ARGV[4], ARGV[3])
if refused then return refused end
local now = string.format('%.0f', millis())
redis.call('HSET', KEYS[2], 'watermark', ARGV[4], 'server', ARGV[3], 'written', now)
redis.call('HSET', KEYS[1], 'written', now)
for i = 5, #ARGV do redis.call('HDEL', KEYS[3], ARGV[i]) end
return {'OK'}
""",
)
