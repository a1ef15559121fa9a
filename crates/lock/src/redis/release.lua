-- Gives up all that the owner has, and wakes the next.
-- KEYS  lock, last fence, line, others, waiters    ARGV  owner
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[5], ARGV[1])
local held = redis.call('HGET', KEYS[1], 'o') == ARGV[1]
if held then
    redis.call('DEL', KEYS[1])
end
if redis.call('EXISTS', KEYS[1]) == 1 then
    return held and 1 or 0
end
local time = redis.call('TIME')
local ms = math.floor((time[1] * 1000000 + time[2]) / 1000)
for key = 3, 4 do
    local first = redis.call('ZRANGE', KEYS[key], 0, 0)[1]
    while first do
        local until_ms, channel = string.match(redis.call('HGET', KEYS[5], first) or '0 ', '^(%d+) (.*)$')
        if tonumber(until_ms) > ms then
            redis.call('PUBLISH', channel, first)
            return held and 1 or 0
        end
        redis.call('ZREM', KEYS[key], first)
        redis.call('HDEL', KEYS[5], first)
        first = redis.call('ZRANGE', KEYS[key], 0, 0)[1]
    end
end
return held and 1 or 0
