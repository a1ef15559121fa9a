-- A value, or the lease to load it.    ARGV  token, lease in ms, refresh early (1|0)
-- A fresh value has been returned by now, unless it is to be refreshed early.
local leased_to_other = e.lt and e.lt ~= ARGV[1] and number('lu') > now
if fresh and leased_to_other then
    return entry('fresh')
end
if leased_to_other then
    if present then
        return entry('stale')
    end
    redis.call('HSET', key, 'w', 1)
    return { 'wait', e.lt, text(number('lu') - now) }
end
local lease_end = now + ARGV[2]
redis.call('HSET', key, 'lt', ARGV[1], 'lu', text(lease_end))
expire_after(lease_end, number('h'), number('k'), number('u'))
if present then
    return entry('refresh')
end
return { 'load' }
