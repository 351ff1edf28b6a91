-- Lets buyers of one product in, each at most once per interval, or tells them
-- of their latest request.
--
-- KEYS[i]  the i-th buyer's key. A buyer may be there several times: the calls
--          are answered in order. All keys are in one slot.
-- ARGV[1]  interval: the least time between two buys of a buyer, in ms
-- ARGV[2]  life: how long a hint is kept, in ms, the same as where it is stored
-- ARGV[3]  a character for each key: '1' if the buyer's hint is known to be
--          over; empty if none is
--
-- Returns for each key, in order, one of
--   a string   the buyer's hint; nothing has changed
--   0          let in; the limit runs from now
--   n > 0      not let in; may try again in n ms
--
-- A key holds one of
--   '1'        a buy was let in less than an interval ago
--   a hint     of 2 bytes or more, the latest request; expires life after it was
--              stored, and the limit runs from then. It takes the place of '1'.
--
-- The times are those of Redis alone (a key's expiry), and what is replicated
-- are the effects: SET with an absolute expiry.

local interval, life, over = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local answers = {}

for i, key in ipairs(KEYS) do
  local stored = redis.call('GET', key)
  local hint = stored and #stored > 1
  if hint and string.byte(over, i) ~= 49 then
    answers[i] = stored
  else
    local wait = 0
    if stored then
      wait = redis.call('PTTL', key)
      if hint then
        wait = wait - life + interval
      end
      -- Stored under other settings, or without an expiry: it says nothing.
      if wait < 0 or wait > interval then
        wait = 0
      end
    end
    if wait == 0 then
      redis.call('SET', key, '1', 'PX', interval)
    end
    answers[i] = wait
  end
end

return answers
