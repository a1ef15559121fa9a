-- Takes a permit (ARGV[3] = 1) or gives one back (-1). Returns 0, or how many ms until one is there.
-- KEYS  when all permits are there again, in ms    ARGV  refill in ms, all permits in ms, 1 or -1
local time = redis.call('TIME')
local now = math.floor((time[1] * 1000000 + time[2]) / 1000)
local window = tonumber(ARGV[2])
-- Never further ahead than all permits are: the clock of the server may have been set back.
local full = math.min(math.max(parsed(redis.call('GET', KEYS[1])) or 0, now), now + window)
full = full + ARGV[1] * ARGV[3]
if full - now > window then
    return full - now - window
end
-- Given back, a permit needs no memory: what a script writes after a removal is allowed when memory is full.
if full <= now or ARGV[3] == '-1' then
    redis.call('DEL', KEYS[1])
end
if full > now then
    redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', string.format('%.0f', full - now))
end
return 0
