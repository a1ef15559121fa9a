-- Starts the lease anew.    ARGV  token, lease in ms
if e.lt ~= ARGV[1] then
    return { '0' }
end
local till = now + ARGV[2]
redis.call('HSET', key, 'lu', text(till))
keep(till, number('h'), number('k'), number('u'))
return { '1' }
