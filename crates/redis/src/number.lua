-- The number that was stored, nil if it is none: somebody else wrote there. 19 digits fit into 64 bits.
local function parsed(text)
    return text and #text < 20 and tonumber(string.match(text, '^%d+$'))
end
