-- Takes the lock, or stores who waits for it.
-- KEYS  lock (hash: o owner, u lease's end in ms, t its length in ms, f last fence), queue (zset), unfair waiters (zset),
--       waiters (hash: end in ms and channel), released owners (zset)
-- ARGV  owner, lease in ms, time to live of a waiter in ms, no|unfair|fair, channel on which the owner is woken
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local ms = math.floor(us / 1000)
local lock = redis.call('HMGET', KEYS[1], 'o', 'u', 'f', 't')
local expires_in = lock[1] and (parsed(lock[2]) or 0) - ms or 0
local last_fence = parsed(lock[3])
-- One that ends further ahead than it is long was taken while this clock was ahead.
local held = expires_in > 0 and expires_in <= (parsed(lock[4]) or expires_in)

if held and lock[1] == ARGV[1] and last_fence then
    redis.call('HSET', KEYS[1], 'u', string.format('%.0f', ms + ARGV[2]), 't', ARGV[2])
    return { 1, lock[3] }
end

-- A request that arrives after its own owner's release, on another connection: nobody would release again.
if redis.call('EXISTS', KEYS[5]) == 1 and redis.call('ZSCORE', KEYS[5], ARGV[1]) then
    return { 0, '0' }
end

local has_waiters = redis.call('EXISTS', KEYS[4]) == 1
-- The first in the queue who is alive; those before it are removed. Nobody waits for ten minutes without asking again: a
-- longer wait was stored while this clock was ahead.
local first, until_ms
while has_waiters do
    first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
    until_ms = first and tonumber(string.match(redis.call('HGET', KEYS[4], first) or '0', '^%d+')) or 0
    if not first or until_ms > ms and until_ms <= ms + 600000 then
        break
    end
    redis.call('ZREM', KEYS[2], first)
    redis.call('HDEL', KEYS[4], first)
end

-- Nobody overtakes the queue, also when the lock is free: whoever is first in it has been woken and is on its way.
if not held and (not first or first == ARGV[1]) then
    if has_waiters then
        redis.call('ZREM', KEYS[2], ARGV[1])
        redis.call('ZREM', KEYS[3], ARGV[1])
        redis.call('HDEL', KEYS[4], ARGV[1])
    end
    -- Below 2^53, so exact.
    local fence = string.format('%.0f', math.max(us, (last_fence or 0) + 1))
    redis.call('HSET', KEYS[1], 'o', ARGV[1], 'u', string.format('%.0f', ms + ARGV[2]), 't', ARGV[2], 'f', fence)
    -- A fence that has expired does no harm while the clock goes forward, nor where fences are raised from what is written.
    redis.call('PEXPIRE', KEYS[1], math.max(ARGV[2] * 2, 60000))
    return { 1, fence }
end

if ARGV[4] ~= 'no' then
    local waiters = ARGV[4] == 'fair' and KEYS[2] or KEYS[3]
    if not redis.call('ZSCORE', waiters, ARGV[1]) then
        -- Positions rise also when the clock does not, so that the order of asking is kept.
        local last = tonumber(redis.call('ZRANGE', waiters, -1, -1, 'WITHSCORES')[2] or '0')
        redis.call('ZADD', waiters, string.format('%.0f', math.max(us, last + 1)), ARGV[1])
    end
    redis.call('HSET', KEYS[4], ARGV[1], string.format('%.0f', ms + ARGV[3]) .. ' ' .. ARGV[5])
    for key = 2, 4 do
        redis.call('PEXPIRE', KEYS[key], math.max(ARGV[3] * 4, 60000))
    end
end
return { 0, string.format('%.0f', held and expires_in or until_ms - ms) }
