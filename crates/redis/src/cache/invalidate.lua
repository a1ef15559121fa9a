-- Removes or expires the value and ends any lease.    ARGV  remove|expire, source, channel, name
-- The data version that is known stays: a put that is older than it is still refused. The invalidated data may be newer
-- than that, so puts store nothing for a while.
-- What frees memory comes first: it is allowed when memory is full, and so is whatever a script writes after it.
end_lease(ARGV[3], ARGV[4])
local generation = next_generation()
local kept_until = text(now + version_retention)
local expires = ARGV[1] == 'expire' and present
if expires then
    redis.call('HSET', key, 's', text(now), 'sl', 0)
else
    redis.call('HDEL', key, 'v', 's', 'sl', 'h', 'hl', 'd')
end
redis.call('HSET', key, 'g', generation, 'k', kept_until, 'u', kept_until)
expire_after(version_retention, expires and present_for or 0)
redis.call('PUBLISH', ARGV[3], table.concat({ 'I', ARGV[2], generation, ARGV[4] }, ' '))
return { generation }
