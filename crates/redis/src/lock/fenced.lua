-- Writes, unless a holder with a higher fence has written; the same fence may write again.
-- KEYS  hash (fence, value)    ARGV  fence, value
if tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') > tonumber(ARGV[1]) then
    return 0
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'value', ARGV[2])
return 1
