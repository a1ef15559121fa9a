-- Starts the owner's lease anew.
-- KEYS  lock    ARGV  owner, lease in ms
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then
    return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
