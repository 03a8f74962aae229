-- Stores values, each unless a later change or a value as new is there; returns how many, nil if there is no tombstone hash.
-- KEYS: tombstone hash, then a key for each value. ARGV: for each a value, beginning with its stamp, and its lifetime in
-- milliseconds.
local floor = redis.call('HGET', KEYS[1], 'floor')
if not floor then
  return false
end
local stored = 0
for i = 2, #KEYS do
  local value = ARGV[2 * i - 3]
  local stamp = tonumber(string.sub(value, 1, 16))
  local changed = redis.call('HGET', KEYS[1], KEYS[i])
  local present = redis.call('GETRANGE', KEYS[i], 0, 15)
  if stamp >= tonumber(floor)
    and (not changed or tonumber(changed) <= stamp)
    and (present == '' or tonumber(present) < stamp) then
    redis.call('SET', KEYS[i], value, 'PX', ARGV[2 * i - 2])
    stored = stored + 1
  end
end
return stored
