-- Runs the script. Where one of its keys has a type that none of ours makes, runs it again without that key: somebody
-- else wrote there, and that costs us the key and nothing more.
local done, reply = pcall(work)
if done then
    return reply
end
-- What an error is differs from release to release: a text, or a table with one.
local message = type(reply) == 'table' and reply.err or reply
if not string.find(message, 'WRONGTYPE', 1, true) then
    return redis.error_reply(message)
end
healed = true
for index, key in ipairs(KEYS) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= types[index] then
        redis.call('DEL', key)
    end
end
return work()
