-- Lets a stale value count as fresh, and ends the lease.    ARGV  token, soft in ms, feed, name
if e.lt ~= ARGV[1] then
    return { '0' }
end
end_lease(ARGV[3], ARGV[4])
if present then
    local soft = math.min(math.max(number('s'), now + ARGV[2]), number('h'))
    redis.call('HSET', key, 's', text(soft))
end
return { '1' }
