-- Lets the lease last from now on.    ARGV  token, lease in ms
if e.lt ~= ARGV[1] then
    return { '0' }
end
lease(ARGV[1], ARGV[2])
return { '1' }
