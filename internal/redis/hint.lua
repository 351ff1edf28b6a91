-- Stores hints, each as its buyer's latest request.
--
-- KEYS[i]    the i-th hint's buyer, as gate.lua names it. A buyer may be there
--            several times: the last hint stays. All keys are in one slot.
-- ARGV[1]    life: how long a hint is kept, in ms
-- ARGV[1+i]  the i-th hint
--
-- Returns the number of hints.

local life = ARGV[1]
for i, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1 + i], 'PX', life)
end
return #KEYS
