-- Ends the owner's lease or wait, and wakes the next waiter.
-- KEYS  lock, queue, unfair waiters, waiters, released owners    ARGV  owner
local lock = redis.call('HMGET', KEYS[1], 'o', 'u')
local lease_end = parsed(lock[2]) or 0
local held = lock[1] == ARGV[1]
local has_waiters = redis.call('EXISTS', KEYS[4]) == 1
local waited = has_waiters and redis.call('HGET', KEYS[4], ARGV[1])
if has_waiters then
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('HDEL', KEYS[4], ARGV[1])
end
-- Only now: the script begins anew where one of the keys above is of another type, and has to find the lease again.
if held then
    redis.call('HDEL', KEYS[1], 'o', 'u', 't')
    -- The fence is left.
    redis.call('PEXPIRE', KEYS[1], 60000)
end
local time = redis.call('TIME')
local ms = math.floor((time[1] * 1000000 + time[2]) / 1000)
if not held and not waited then
    -- The acquisition that it undoes may be still on its way.
    redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', ms)
    redis.call('ZADD', KEYS[5], ms + 10000, ARGV[1])
    redis.call('PEXPIRE', KEYS[5], 10000)
end
-- Held by this owner until now.
local was_held = held and lease_end > ms and 1 or 0
-- Another owner holds the lock: its release wakes the next.
if not has_waiters or lock[1] and not held and lease_end > ms then
    return was_held
end
-- Fair waiters first; those whose time is over are removed.
for key = 2, 3 do
    local first = redis.call('ZRANGE', KEYS[key], 0, 0)[1]
    while first do
        local until_ms, channel = string.match(redis.call('HGET', KEYS[4], first) or '0 ', '^(%d+) (.*)$')
        if (parsed(until_ms) or 0) > ms then
            redis.call('PUBLISH', channel, first)
            return was_held
        end
        redis.call('ZREM', KEYS[key], first)
        redis.call('HDEL', KEYS[4], first)
        first = redis.call('ZRANGE', KEYS[key], 0, 0)[1]
    end
end
return was_held
