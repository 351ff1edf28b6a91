-- Takes a unit back from a buyer. To repeat it does nothing.
--
-- KEYS[1]  how many units are left
-- KEYS[2]  the set of those who have one
-- ARGV[1]  the buyer
--
-- Returns 1, or 0 if the buyer had none.

if redis.call('SREM', KEYS[2], ARGV[1]) == 0 then
  return 0
end
redis.call('INCR', KEYS[1])
return 1
