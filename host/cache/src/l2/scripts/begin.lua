-- Makes sure that there is a tombstone hash, and returns its watermark.
-- KEYS: tombstone hash. ARGV: newest and oldest revision of the log, lifetime in milliseconds.
local watermark = redis.call('HGET', KEYS[1], 'watermark')
if watermark and tonumber(watermark) + 1 >= tonumber(ARGV[2]) then
  return tonumber(watermark)
end
-- None, or the log no longer reaches back to it. A new one knows nothing of what was stored before: hence the base.
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'watermark', ARGV[1], 'floor', ARGV[1], 'base', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return tonumber(ARGV[1])
