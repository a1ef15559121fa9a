-- Returns a fresh value before anything else is read: the most frequent case by far.
local f = redis.call('HMGET', KEYS[1], 'v', 's', 'sl', 'g', 'd')
if f[1] and ARGV[3] ~= '1' and parsed(f[2]) and parsed(f[4]) and parsed(f[5]) then
    local t = redis.call('TIME')
    local fresh_for = f[2] - t[1] * 1000 - math.floor(t[2] / 1000)
    if fresh_for > 0 and fresh_for <= (parsed(f[3]) or fresh_for) then
        return { 'fresh', f[1], f[4], tostring(fresh_for), f[5] }
    end
end
