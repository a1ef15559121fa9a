-- Whether the token has the lease, of whose end word is wanted.    ARGV  token
if e.lt ~= ARGV[1] or number('lu') <= now then
    return { '0' }
end
redis.call('HSET', key, 'w', 1)
return { '1' }
