-- Applies changes, and returns the watermark then; nil if there is no tombstone hash.
-- KEYS: tombstone hash, then what changed. ARGV: the watermark that the changes follow on, the one that they lead to, how many
-- changes to remember, lifetime in milliseconds, then the revision of each change, in order.
local tombstones = KEYS[1]
local watermark = redis.call('HGET', tombstones, 'watermark')
if not watermark then
  return false
end
watermark = tonumber(watermark)
if watermark < tonumber(ARGV[1]) then
  return watermark
end
local newest = tonumber(ARGV[2])
for i = 2, #KEYS do
  local revision = tonumber(ARGV[i + 3])
  local stamp = redis.call('GETRANGE', KEYS[i], 0, 15)
  if stamp ~= '' and tonumber(stamp) < revision then
    redis.call('UNLINK', KEYS[i])
  end
  local changed = redis.call('HGET', tombstones, KEYS[i])
  if not changed or tonumber(changed) < revision then
    redis.call('HSET', tombstones, KEYS[i], ARGV[i + 3])
  end
  newest = math.max(newest, revision)
end
if tonumber(ARGV[2]) > watermark then
  watermark = tonumber(ARGV[2])
  redis.call('HSET', tombstones, 'watermark', ARGV[2])
end
if redis.call('HLEN', tombstones) > tonumber(ARGV[3]) then
  -- Forgets the changes. The floor stands for them, also for those of a revision that has not been applied whole.
  local base = redis.call('HGET', tombstones, 'base')
  local floor = string.format('%.0f', math.max(newest, watermark))
  redis.call('UNLINK', tombstones)
  redis.call('HSET', tombstones, 'watermark', string.format('%.0f', watermark), 'floor', floor, 'base', base)
end
redis.call('PEXPIRE', tombstones, ARGV[4])
return watermark
