-- Writes what can be sold of a sale, and ends leases.
--
-- KEYS[1]     the sale's credit
-- ARGV[1]     next: the units are those that can be sold once all records below
--             it are decided; empty to end leases and do nothing else
-- ARGV[2]     the units
-- ARGV[3]     how long the credit lives, in ms, unless it is written again
-- ARGV[4...]  leases that have ended. One that is not there is passed over.
--
-- Returns 1, or 0 if next is older than what is there, and nothing was done.
-- Under the same next the units stay.
--
-- The credit is a sorted set of
--   next       with the score -next
--   available  with the score -units that can be sold
--   leased     with the score -units of the leases that are here
--   a lease    with its end as score, in ms since 1970. Its name is
--              gate-number-units; the gate and the number are alphanumeric, the
--              units decimal.
-- Counts have scores of 0 and below, and ends have scores above 0, so that a
-- range of scores gives leases alone. All is under one key, so that it can only
-- be lost as a whole: a count without its leases would keep units from sale.

local credit, at = KEYS[1], tonumber(ARGV[1])
local counts = redis.call('ZMSCORE', credit, 'next', 'leased')
local known = counts[1] and -tonumber(counts[1])
local leased = counts[2] and -tonumber(counts[2]) or 0

if at then
  if known and at < known then
    return 0
  end
  if not known or at > known then
    redis.call('ZADD', credit, -at, 'next', -tonumber(ARGV[2]), 'available', -leased, 'leased')
  end
  redis.call('PEXPIRE', credit, ARGV[3])
end

-- A lease's name comes from a record: it may be anything, such as 'next'. Only
-- leases end in a number.
local freed = 0
for i = 4, #ARGV do
  local units = string.match(ARGV[i], '%d+$')
  if units and redis.call('ZREM', credit, ARGV[i]) == 1 then
    freed = freed + units
  end
end
if freed > 0 then
  redis.call('ZADD', credit, freed - leased, 'leased')
end

return 1
