-- Takes the lock, or takes down who waits for it.
-- KEYS  lock (hash: o owner, f fence), last fence, line (zset), others (zset), waiters (hash)
-- ARGV  owner, lease in ms, place in ms, once|waiting|queued, channel on which the owner is woken
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local ms = math.floor(us / 1000)

local holder = redis.call('HGET', KEYS[1], 'o')
if holder == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return { 1, redis.call('HGET', KEYS[1], 'f') }
end

-- The first in line who is alive; those before it are forgotten.
local first, until_ms
repeat
    first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
    until_ms = first and tonumber(string.match(redis.call('HGET', KEYS[5], first) or '0', '^%d+')) or 0
    local dead = first and until_ms <= ms
    if dead then
        redis.call('ZREM', KEYS[3], first)
        redis.call('HDEL', KEYS[5], first)
    end
until not dead

if not holder and (not first or first == ARGV[1]) then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('ZREM', KEYS[4], ARGV[1])
    redis.call('HDEL', KEYS[5], ARGV[1])
    local last = tonumber(redis.call('GET', KEYS[2]) or '0')
    -- Below 2^53, so exact.
    local fence = string.format('%.0f', math.max(us, last + 1))
    redis.call('SET', KEYS[2], fence, 'PX', 86400000)
    redis.call('HSET', KEYS[1], 'o', ARGV[1], 'f', fence)
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return { 1, fence }
end

if ARGV[4] ~= 'once' then
    local line = ARGV[4] == 'queued' and KEYS[3] or KEYS[4]
    if not redis.call('ZSCORE', line, ARGV[1]) then
        local last = tonumber(redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')[2] or '0')
        redis.call('ZADD', line, string.format('%.0f', math.max(us, last + 1)), ARGV[1])
    end
    redis.call('HSET', KEYS[5], ARGV[1], string.format('%.0f', ms + ARGV[3]) .. ' ' .. ARGV[5])
    for key = 3, 5 do
        redis.call('PEXPIRE', KEYS[key], math.max(ARGV[3] * 4, 60000))
    end
end
return { 0, tostring(holder and redis.call('PTTL', KEYS[1]) or math.max(until_ms - ms, 0)) }
