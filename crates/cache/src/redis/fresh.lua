-- A fresh value, and nothing more: what is asked most often comes first.
local f = redis.call('HMGET', KEYS[1], 'v', 's', 'g', 'd')
if f[1] and ARGV[3] ~= '1' then
    local t = redis.call('TIME')
    local left = f[2] - t[1] * 1000 - math.floor(t[2] / 1000)
    if left > 0 then
        return { 'fresh', f[1], f[3], tostring(left), f[4] }
    end
end
