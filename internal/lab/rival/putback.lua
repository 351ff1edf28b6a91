-- Puts back what was taken below 0, and tells whether the buyer has a unit.
--
-- KEYS[1]  how many units are left
-- KEYS[2]  the set of those who have one
-- ARGV[1]  the buyer
--
-- Returns how many are left then, and 1 if the buyer has one, or 0.

return {redis.call('INCR', KEYS[1]), redis.call('SISMEMBER', KEYS[2], ARGV[1])}
