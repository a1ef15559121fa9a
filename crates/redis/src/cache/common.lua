-- What most scripts begin with. KEYS[1] is a hash:
--   v value   g generation   s soft expiry   h hard expiry   d load time   dv data version
--   lt lease's token   lu lease's end   w somebody waits for the lease's end
--   u until when a put may be older than the last invalidation   k until when dv is kept
-- Times are the server's own, in ms; generations are its time in us, or one more than the last: below 2^53, so exact.
local key = KEYS[1]
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = math.floor(us / 1000)

local fields = { 'g', 's', 'h', 'd', 'dv', 'lt', 'lu', 'u', 'k', 'w' }
local e = {}
for index, value in ipairs(redis.call('HMGET', key, unpack(fields))) do
    e[fields[index]] = value
end
local function number(field)
    return tonumber(e[field] or '0')
end
local function text(value)
    return string.format('%.0f', value)
end

-- There is a value, fresh or stale.
local present = number('h') > now
local fresh = present and number('s') > now
-- How long data versions are kept past their value, in ms.
local version_retention = 10000

local function entry(status)
    return { status, redis.call('HGET', key, 'v'), e.g, text(math.max(number('s') - now, 0)), e.d }
end

local function next_generation()
    return text(math.max(us, number('g') + 1))
end

-- Lets the key expire when the last of these times is over: nothing in it is needed any more.
local function expire_after(...)
    redis.call('PEXPIREAT', key, text(math.max(...)))
end

local function end_lease(channel, name)
    redis.call('HDEL', key, 'lt', 'lu', 'w')
    if e.w then
        redis.call('PUBLISH', channel, 'F ' .. name)
    end
end
