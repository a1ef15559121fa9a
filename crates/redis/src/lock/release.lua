-- Ends the owner's lease or wait, and wakes the next waiter.
-- KEYS  lock, queue, unfair waiters, waiters, released owners    ARGV  owner
local lock = redis.call('HMGET', KEYS[1], 'o', 'u')
local held = lock[1] == ARGV[1]
if held then
    redis.call('HDEL', KEYS[1], 'o', 'u')
end
local time = redis.call('TIME')
local ms = math.floor((time[1] * 1000000 + time[2]) / 1000)
if not held and not redis.call('HGET', KEYS[4], ARGV[1]) then
    -- The acquisition that it undoes may be still on its way.
    redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', ms)
    redis.call('ZADD', KEYS[5], ms + 10000, ARGV[1])
    redis.call('PEXPIRE', KEYS[5], 10000)
end
-- Held by this owner until now.
local was_held = held and lock[2] - ms > 0 and 1 or 0
if redis.call('EXISTS', KEYS[4]) == 0 then
    return was_held
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
-- Another owner holds the lock: its release wakes the next.
if lock[1] and not held and lock[2] - ms > 0 then
    return 0
end
-- Fair waiters first; those whose time is over are removed.
for key = 2, 3 do
    local first = redis.call('ZRANGE', KEYS[key], 0, 0)[1]
    while first do
        local until_ms, channel = string.match(redis.call('HGET', KEYS[4], first) or '0 ', '^(%d+) (.*)$')
        if tonumber(until_ms) > ms then
            redis.call('PUBLISH', channel, first)
            return was_held
        end
        redis.call('ZREM', KEYS[key], first)
        redis.call('HDEL', KEYS[4], first)
        first = redis.call('ZRANGE', KEYS[key], 0, 0)[1]
    end
end
return was_held
