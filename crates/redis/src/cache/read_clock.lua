-- The epoch and the server's time in us. An epoch that somebody has overwritten is not known any more: the next begins.
local epoch = redis.call('GET', KEYS[1]) or not healed and '0'
return { parsed(epoch) and epoch or begin_epoch(), string.format('%.0f', us) }
