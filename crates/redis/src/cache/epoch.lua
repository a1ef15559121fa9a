-- What the scripts of the epoch begin with.    KEYS  epoch    ARGV  channel
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]

-- Begins a new epoch, in which nothing is stored yet.
local function begin_epoch()
    local epoch = string.format('%.0f', math.max(us, (parsed(redis.call('GET', KEYS[1])) or 0) + 1))
    -- Removed first: that is allowed when memory is full, and so is whatever a script writes after it.
    redis.call('DEL', KEYS[1])
    redis.call('SET', KEYS[1], epoch)
    redis.call('PUBLISH', ARGV[1], 'E ' .. epoch)
    return epoch
end
