-- A value, or the lease to load it.    ARGV  token, lease in ms, refresh early (1|0)
-- A fresh value has been returned by now, unless it is to be refreshed early.
local leased_to_other = e.lt and e.lt ~= ARGV[1] and leased_for > 0
-- Somebody refreshes it early already: one is enough.
if fresh_for > 0 and leased_to_other then
    return entry('fresh')
end
if leased_to_other then
    if present then
        return entry('stale')
    end
    -- The lease's end is published only if somebody waits for it.
    redis.call('HSET', key, 'w', 1)
    return { 'wait', e.lt, text(leased_for) }
end
-- Free, expired, or the caller's own, whose answer was lost.
lease(ARGV[1], ARGV[2])
if present then
    return entry('refresh')
end
return { 'load' }
