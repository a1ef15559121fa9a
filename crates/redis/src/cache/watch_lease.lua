-- Whether the token has the lease, whose end is to be published then.    ARGV  token
if e.lt ~= ARGV[1] or leased_for == 0 then
    return { '0' }
end
redis.call('HSET', key, 'w', 1)
return { '1' }
