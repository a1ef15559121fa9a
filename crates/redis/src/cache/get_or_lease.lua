-- A value, or the lease to load it.    ARGV  token, lease in ms, refresh early (1|0)
-- A fresh value has been returned by now, unless it is to be refreshed early.
local leased_to_other = e.lt and e.lt ~= ARGV[1] and number('lu') > now
-- Somebody refreshes it early already: one is enough.
if fresh and leased_to_other then
    return entry('fresh')
end
if leased_to_other then
    if present then
        return entry('stale')
    end
    -- The lease's end is published only if somebody waits for it.
    redis.call('HSET', key, 'w', 1)
    return { 'wait', e.lt, text(number('lu') - now) }
end
-- Free, expired, or the caller's own, whose answer was lost.
local lease_end = now + ARGV[2]
redis.call('HSET', key, 'lt', ARGV[1], 'lu', text(lease_end))
expire_after(lease_end, number('h'), number('k'), number('u'))
if present then
    return entry('refresh')
end
return { 'load' }
