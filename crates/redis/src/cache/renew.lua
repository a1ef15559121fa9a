-- Lets the lease last from now on.    ARGV  token, lease in ms
if e.lt ~= ARGV[1] then
    return { '0' }
end
local lease_end = now + ARGV[2]
redis.call('HSET', key, 'lu', text(lease_end))
expire_after(lease_end, number('h'), number('k'), number('u'))
return { '1' }
