-- The epoch and the server's time in us.    KEYS  epoch
local time = redis.call('TIME')
return { redis.call('GET', KEYS[1]) or '0', string.format('%.0f', time[1] * 1000000 + time[2]) }
