-- Lets buyers of one sale in, each at most once per interval, or tells them of
-- their latest request. Whoever needs a credit is let in with a lease on units,
-- as far as units are free.
--
-- KEYS[i]    the i-th buyer's key. A buyer may be there several times: the calls
--            are answered in order. All keys are in one slot.
-- KEYS[#]    only with ARGV[4]: the sale's credit, as credit.lua describes it
-- ARGV[1]    interval: the least time between two buys of a buyer, in ms
-- ARGV[2]    life: how long a hint is kept, in ms, the same as where it is stored
-- ARGV[3]    a character for each buyer: '1' if the hint is known to be over;
--            empty if none is
-- ARGV[4]    how long a lease lives, in ms; absent if nobody needs a credit
-- ARGV[4+i]  only with ARGV[4]: the lease for the i-th buyer, unlike any other;
--            empty if no credit is needed
--
-- Returns for each buyer, in order, one of
--   a string   the buyer's hint; nothing has changed
--   n > 0      not let in; may try again in n ms; nothing has changed
--   0          let in, with the lease if there is one; the limit runs from now
--   -1         not let in: fewer units are free; the limit runs from now
--   -2         not let in: what can be sold is not known; the limit runs from now
--
-- A buyer's key holds one of
--   '1'        the buyer got past the limit less than an interval ago
--   a hint     of 2 bytes or more, the latest request; expires life after it was
--              stored, and the limit runs from then. It takes the place of '1'.
--
-- The times are those of Redis alone (a key's expiry, TIME), and what is
-- replicated are the effects: SET with an absolute expiry. SET with NX and GET
-- needs Redis 7.

local interval, life, over = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local lease_life = tonumber(ARGV[4])
local keys, buyers = KEYS, #KEYS
local answers = {}

local take, given, now, leased -- of the credit
if lease_life then
  local credit = keys[buyers]
  buyers = buyers - 1
  local known, available, swept

  -- Leases that have ended are counted until somebody needs their units, so that
  -- a call never ends more of them than it has use for, and some.
  local function reclaim(units)
    while available - leased < units and not swept do
      local ended = redis.call('ZRANGEBYSCORE', credit, '(0', now, 'LIMIT', 0, 500)
      if #ended == 0 then
        -- Given before the clock was put back: nothing ends later than this.
        local latest = string.format('(%.0f', now + lease_life)
        ended = redis.call('ZRANGEBYSCORE', credit, latest, '+inf', 'LIMIT', 0, 500)
      end
      swept = #ended == 0
      if not swept then
        for _, lease in ipairs(ended) do
          leased = leased - string.match(lease, '%d+$')
        end
        redis.call('ZREM', credit, unpack(ended))
        redis.call('ZADD', credit, -leased, 'leased')
      end
    end
    return available - leased >= units
  end

  function take(lease)
    if not given then
      local counts = redis.call('ZMSCORE', credit, 'available', 'leased')
      known = counts[1] and counts[2]
      if known then
        available, leased = -tonumber(counts[1]), -tonumber(counts[2])
        local time = redis.call('TIME')
        now = time[1] * 1000 + math.floor(time[2] / 1000)
      end
      given = {}
    end
    if not known then
      return -2
    end
    local units = tonumber(string.match(lease, '%d+$'))
    if not reclaim(units) then
      return -1
    end
    leased = leased + units
    given[#given + 1] = now + lease_life
    given[#given + 1] = lease
    return 0
  end
end

for i = 1, buyers do
  local key = keys[i]
  -- Most buyers are new: they are marked by the same command that finds nothing.
  local stored = redis.call('SET', key, '1', 'PX', interval, 'NX', 'GET')
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
      if wait == 0 then
        redis.call('SET', key, '1', 'PX', interval)
      end
    end
    if wait == 0 and take and ARGV[4 + i] ~= '' then
      wait = take(ARGV[4 + i])
    end
    answers[i] = wait
  end
end

if given and #given > 0 then
  redis.call('ZADD', keys[#keys], -leased, 'leased', unpack(given))
end

return answers
