-- Ends the lease without a value.    ARGV  token, channel, name
if e.lt == ARGV[1] then
    end_lease(ARGV[2], ARGV[3])
end
return { '1' }
