-- Removes or expires the value and ends any lease.    ARGV  remove|expire, source, channel, name
-- The data version that is known stays: a put that is older than it is still refused. The invalidated data may be newer
-- than that, so puts store nothing for a while.
-- What frees memory comes first: it is allowed when memory is full, and so is whatever a script writes after it.
end_lease(ARGV[3], ARGV[4])
local generation = next_generation()
local kept_until = now + version_retention
local hard_expiry = 0
if ARGV[1] == 'expire' and present then
    redis.call('HSET', key, 's', text(math.min(number('s'), now)))
    hard_expiry = number('h')
else
    redis.call('HDEL', key, 'v', 's', 'h', 'd')
end
redis.call('HSET', key, 'g', generation, 'k', text(kept_until), 'u', text(kept_until))
expire_after(kept_until, hard_expiry)
redis.call('PUBLISH', ARGV[3], table.concat({ 'I', ARGV[2], generation, ARGV[4] }, ' '))
return { generation }
