-- Takes a unit for a buyer who has none.
--
-- KEYS[1]  how many units are left
-- KEYS[2]  the set of those who have one
-- ARGV[1]  the buyer
--
-- Returns 1 if a unit was taken, 2 if the buyer has one already, 0 if none is
-- left.

local left = tonumber(redis.call('GET', KEYS[1]) or '0')
if left < 1 then
  return redis.call('SISMEMBER', KEYS[2], ARGV[1]) * 2
end
if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then
  return 2
end
redis.call('DECR', KEYS[1])
return 1
