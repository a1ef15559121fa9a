-- A value, or the lease to load it.    ARGV  token, lease in ms, early (1|0)
-- A value that is fresh has been answered, unless it is to be refreshed early.
local other = e.lt and e.lt ~= ARGV[1] and number('lu') > now
if fresh and other then
    return entry('fresh')
end
if other then
    if present then
        return entry('stale')
    end
    redis.call('HSET', key, 'w', 1)
    return { 'wait', e.lt, text(number('lu') - now) }
end
local till = now + ARGV[2]
redis.call('HSET', key, 'lt', ARGV[1], 'lu', text(till))
keep(till, number('h'), number('k'), number('u'))
if present then
    return entry('refresh')
end
return { 'load' }
