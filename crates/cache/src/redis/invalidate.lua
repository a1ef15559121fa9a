-- Removes or expires the value and ends any lease.    ARGV  remove|expire, source, feed, name
local generation = next_generation()
local kept = now + memory
redis.call('HSET', key, 'g', generation, 'k', text(kept), 'u', text(kept))
end_lease(ARGV[3], ARGV[4])
local hard = 0
if ARGV[1] == 'expire' and present then
    redis.call('HSET', key, 's', text(math.min(number('s'), now)))
    hard = number('h')
else
    redis.call('HDEL', key, 'v', 's', 'h', 'd')
end
keep(kept, hard)
redis.call('PUBLISH', ARGV[3], table.concat({ 'I', ARGV[2], generation, ARGV[4] }, ' '))
return { generation }
