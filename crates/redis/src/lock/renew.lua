-- Lets the owner's lease last from now on.
-- KEYS  lock    ARGV  owner, lease in ms
local time = redis.call('TIME')
local ms = math.floor((time[1] * 1000000 + time[2]) / 1000)
local lock = redis.call('HMGET', KEYS[1], 'o', 'u')
if lock[1] ~= ARGV[1] or (parsed(lock[2]) or 0) <= ms then
    return 0
end
-- What needs no memory comes first: it is allowed when memory is full, and so is whatever a script writes after it.
redis.call('PEXPIRE', KEYS[1], math.max(ARGV[2] * 2, 60000))
redis.call('HSET', KEYS[1], 'u', string.format('%.0f', ms + ARGV[2]), 't', ARGV[2])
return 1
