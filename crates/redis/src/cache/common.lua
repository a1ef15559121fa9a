-- What most scripts begin with. KEYS[1] is a hash:
--   v value   g generation   s soft expiry   h hard expiry   d load time   dv data version
--   lt lease's token   lu lease's end   w somebody waits for the lease's end
--   u until when a put may be older than the last invalidation   k until when dv is kept
--   sl, hl, ll how far ahead s, h and lu were when they were stored
-- Times are the server's own, in ms; generations are its time in us, or one more than the last: below 2^53, so exact.
-- What was stored without sl, hl or ll, by an earlier release, counts as it is.
local key = KEYS[1]
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = math.floor(us / 1000)

local fields = { 'g', 's', 'sl', 'h', 'hl', 'd', 'dv', 'lt', 'lu', 'll', 'u', 'k', 'w' }
local e = {}
for index, value in ipairs(redis.call('HMGET', key, unpack(fields))) do
    e[fields[index]] = value
end
local function number(field)
    return parsed(e[field]) or 0
end
local function text(value)
    return string.format('%.0f', value)
end
-- How much of a time is left, in ms. Nothing where that is more than it ever was: it was stored while this clock was ahead.
local function left(field, length)
    local ms = number(field) - now
    return ms > 0 and ms <= (length or ms) and ms or 0
end

-- There is a value, fresh or stale.
local present_for = left('h', parsed(e.hl))
local present = present_for > 0
local fresh_for = present and left('s', parsed(e.sl)) or 0
local leased_for = left('lu', parsed(e.ll))
-- How long data versions are kept past their value, in ms.
local version_retention = 10000
local unordered_for = left('u', version_retention)

local function entry(status)
    return { status, redis.call('HGET', key, 'v') or '', text(number('g')), text(fresh_for), text(number('d')) }
end

local function next_generation()
    return text(math.max(us, number('g') + 1))
end

-- Lets the key expire when the last of these times, in ms, is over: nothing in it is needed any more.
local function expire_after(...)
    redis.call('PEXPIRE', key, text(math.max(...)))
end

-- Lets the lease last from now on.
local function lease(token, ttl)
    redis.call('HSET', key, 'lt', token, 'lu', text(now + ttl), 'll', ttl)
    expire_after(tonumber(ttl), present_for, left('k', version_retention), unordered_for)
end

local function end_lease(channel, name)
    redis.call('HDEL', key, 'lt', 'lu', 'll', 'w')
    if e.w then
        redis.call('PUBLISH', channel, 'F ' .. name)
    end
end
