-- Lets a stale value count as fresh, and ends the lease.    ARGV  token, soft time to live in ms, channel, name
if e.lt ~= ARGV[1] then
    return { '0' }
end
end_lease(ARGV[3], ARGV[4])
if present then
    local soft_expiry = math.min(math.max(number('s'), now + ARGV[2]), number('h'))
    redis.call('HSET', key, 's', text(soft_expiry))
end
return { '1' }
