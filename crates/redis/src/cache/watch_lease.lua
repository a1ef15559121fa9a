-- Whether the token has the lease, whose end is to be published then.    ARGV  token
if e.lt ~= ARGV[1] or number('lu') <= now then
    return { '0' }
end
redis.call('HSET', key, 'w', 1)
return { '1' }
