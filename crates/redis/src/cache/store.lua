-- Stores what was loaded under the lease, or what was written.
-- ARGV  fill|put, token or source, value, data version or '', soft and hard time to live and load time in ms,
--       channel, name
local put = ARGV[1] == 'put'
local version = tonumber(ARGV[4])
-- A put with a version that is known already was repeated, or overtaken by a newer write.
-- A fill without the lease was loaded before a write, or by somebody whose lease expired.
if put then
    if e.dv and number('dv') >= version then
        return { 'refused' }
    end
elseif e.lt ~= ARGV[2] or version and e.dv and version < number('dv') then
    return { 'refused' }
end

local generation = next_generation()
redis.call('HSET', key, 'g', generation, 'k', text(now + version_retention))
if version then
    redis.call('HSET', key, 'dv', text(math.max(version, number('dv'))))
end
end_lease(ARGV[8], ARGV[9])
if put then
    redis.call('PUBLISH', ARGV[8], table.concat({ 'I', ARGV[2], generation, ARGV[9] }, ' '))
    if unordered_for > 0 then
        -- The data may be older than what was invalidated just before.
        redis.call('HDEL', key, 'v', 's', 'sl', 'h', 'hl', 'd')
        expire_after(version_retention, unordered_for)
        return { 'removed', generation }
    end
end
local load_time = put and parsed(e.d) and e.d or ARGV[7]
redis.call('HSET', key, 'v', ARGV[3], 's', text(now + ARGV[5]), 'sl', ARGV[5], 'h', text(now + ARGV[6]), 'hl', ARGV[6],
    'd', load_time)
-- The order of data is known again: later puts are compared with this version.
if version then
    redis.call('HDEL', key, 'u')
end
expire_after(version_retention, tonumber(ARGV[6]), version and 0 or unordered_for)
return { 'stored', generation }
