-- Begins a new epoch, in which nothing is stored yet.    KEYS  epoch    ARGV  channel
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local epoch = string.format('%.0f', math.max(time[1] * 1000000 + time[2], last + 1))
-- Removed first: that is allowed when memory is full, and so is whatever a script writes after it.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], epoch)
redis.call('PUBLISH', ARGV[1], 'E ' .. epoch)
return epoch
