-- Lets a stale value count as fresh, and ends the lease.    ARGV  token, soft time to live in ms, channel, name
if e.lt ~= ARGV[1] then
    return { '0' }
end
end_lease(ARGV[3], ARGV[4])
if present then
    local soft_ttl = math.min(math.max(fresh_for, tonumber(ARGV[2])), present_for)
    redis.call('HSET', key, 's', text(now + soft_ttl), 'sl', text(soft_ttl))
end
return { '1' }
