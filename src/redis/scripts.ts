/**
 * What is done in Redis in one go. All take the same keys: the instance's own (or, where none is meant, the prefix that these
 * begin with), the deadlines, the number of the last change, the changes, the sign that somebody has been here, and the sign that
 * this was not long ago.
 *
 * Time is that of Redis alone, in milliseconds.
 */

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** Records a change: its fields behind its number, so that whoever reads them knows when one is missing. */
const CHANGE = `
local function change(limit, ...)
  local number = redis.call('INCR', KEYS[3])
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', limit, '*', 'number', number, ...)
end
`;

/**
 * Lists an instance unless it is somebody else's, or a newer one is listed. Arguments: id, incarnation, token, ttlMs, entry, limit,
 * owner, and 1 for who may replace anybody's. Gives `owner`, or the newer incarnation, or an empty text.
 */
export const REGISTER = `${NOW}${CHANGE}
local id, incarnation, token, ttl, entry, limit, owner, mayAll = unpack(ARGV)
local listed = redis.call('HMGET', KEYS[1], 'incarnation', 'owner')
if listed[1] and mayAll ~= '1' and listed[2] ~= owner then return 'owner' end
if listed[1] and tonumber(listed[1]) > tonumber(incarnation) then return listed[1] end
redis.call('HSET', KEYS[1], 'incarnation', incarnation, 'token', token, 'ttlMs', ttl, 'entry', entry, 'owner', owner)
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('ZADD', KEYS[2], now + ttl, id)
change(limit, 'kind', 'put', 'id', id, 'token', token, 'entry', entry)
return ''
`;

/** Arguments: id, incarnation, token. Gives what became of it. */
export const RENEW = `${NOW}
local id, incarnation, token = unpack(ARGV)
local listed = redis.call('HMGET', KEYS[1], 'incarnation', 'token', 'ttlMs')
if listed[2] == token then
  redis.call('PEXPIRE', KEYS[1], listed[3])
  redis.call('ZADD', KEYS[2], now + listed[3], id)
  return 'renewed'
end
if listed[1] and tonumber(listed[1]) > tonumber(incarnation) then return 'fenced' end
return 'unknown'
`;

/** Arguments: id, token, cause, limit. */
export const DEREGISTER = `${CHANGE}
local id, token, cause, limit = unpack(ARGV)
if redis.call('HGET', KEYS[1], 'token') ~= token then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], id)
change(limit, 'kind', 'removed', 'id', id, 'cause', cause)
return 1
`;

/** Removes whose time is over, some at a time. Arguments: limit. Gives the number of the last change. */
export const SWEEP = `${NOW}${CHANGE}
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 500)
for _, id in ipairs(due) do
  redis.call('DEL', KEYS[1] .. id)
  redis.call('ZREM', KEYS[2], id)
  change(ARGV[1], 'kind', 'removed', 'id', id, 'cause', 'expired')
end
return tonumber(redis.call('GET', KEYS[3]) or 0)
`;

/**
 * Everything that is listed. Arguments: a text for the sign that somebody has been here, and how long that is news, in
 * milliseconds. Gives the sign, whether it is news, the number of the last change and its place among the changes, and for each
 * instance its token and its entry.
 */
export const LIST = `
if redis.call('SET', KEYS[5], ARGV[1], 'NX') then redis.call('SET', KEYS[6], '1', 'PX', ARGV[2]) end
local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)
local listed = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local entry = redis.call('HMGET', KEYS[1] .. id, 'token', 'entry')
  if entry[1] then table.insert(listed, entry) end
end
return {
  redis.call('GET', KEYS[5]), redis.call('EXISTS', KEYS[6]), tonumber(redis.call('GET', KEYS[3]) or 0),
  last[1] and last[1][1] or '0-0', listed,
}
`;
