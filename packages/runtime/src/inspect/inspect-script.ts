import { defineScript, type Script } from '../connection/script.ts'
import { streamIdLua } from '../stream/incarnation.ts'

/** Up to so many events are counted one by one, on either side of a position, to tell its lag. */
export const MOST_COUNTED = 1_000

/** Up to so many are counted for all who read the stream. */
export const MOST_COUNTED_IN_ALL = 10_000

export const inspectScript: Script = defineScript(
  'inspect',
  `
--[[ Everything about one stream at one moment, as JSON.
KEYS 1 stream, 2 meta
ARGV 1 how many events may be counted on either side of a position, 2 how many in all
Answers a JSON object; the states and dead letters of the stream's groups carry its hash tag
]]
${streamIdLua}
local stream = KEYS[1]
local function fields_of(flat)
  local by = {}
  for i = 1, #flat, 2 do by[flat[i]] = flat[i + 1] end
  return by
end

local now = redis.call('TIME')
local answer = {
  nowMs = now[1] .. string.format('%03d', math.floor(now[2] / 1000)),
  meta = fields_of(redis.call('HGETALL', KEYS[2])),
  exists = redis.call('EXISTS', stream) == 1,
  groups = {},
}
if not answer.exists then return cjson.encode(answer) end

local info = fields_of(redis.call('XINFO', 'STREAM', stream))
local length, added, last = info['length'], info['entries-added'], info['last-generated-id']
local deleted = info['max-deleted-entry-id']
local first = info['first-entry'] and info['first-entry'][1] or ''
answer.length, answer.added, answer.lastId, answer.firstId = length, added, last, first
answer.bytes = redis.call('MEMORY', 'USAGE', stream, 'SAMPLES', 5) or 0

local budget = tonumber(ARGV[2])
-- How many events lie in a range; nil where there are too many to count.
local function count(from, to)
  local most = math.min(tonumber(ARGV[1]), budget)
  if most <= 0 then return nil end
  local counted = #redis.call('XRANGE', stream, from, to, 'COUNT', most + 1)
  budget = budget - counted
  if counted <= most then return counted end
end

-- By the count of what was read where it can be true, else by time between the first event and the last.
local function estimate(position, index)
  local lag
  if index and index > added - length and index < added then
    lag = added - index
  else
    local function ms(id) return tonumber(id:match('^(%d+)')) end
    local span = ms(last) - ms(first)
    lag = math.floor(length * (span > 0 and (ms(last) - ms(position)) / span or 0.5))
  end
  return math.min(math.max(lag, 1), length - 1)
end

-- How many events lie after the position, whether that is certain, and the first of them. A count of what
-- was read (entries-read, or a consumer's index) proves nothing: somebody may have removed events unread,
-- which Redis 7.0 and Valkey never notice, or have set it to anything. So it only says where to look.
local seen = {}
local function lag_after(position, index)
  if length == 0 or not id_before(position, last) then return 0, true, '' end
  if id_before(position, first) then return length, true, first end
  local next_entry = redis.call('XRANGE', stream, '(' .. position, '+', 'COUNT', 1)
  if #next_entry == 0 then return 0, true, '' end
  local oldest = next_entry[1][1]
  if position == first then return length - 1, true, oldest end
  local events = seen[position]
  if not events then
    local guess = estimate(position, index)
    if guess * 2 <= length then
      events = count('(' .. position, '+')
    end
    if not events then
      local before = count('-', position)
      events = before and length - before
    end
    if not events and guess * 2 > length then events = count('(' .. position, '+') end
    if not events then return guess, false, oldest end
    seen[position] = events
  end
  return events, true, oldest
end

for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local native = fields_of(flat)
  local name = native['name']
  local state = fields_of(redis.call('HGETALL', stream .. ':state:' .. name))
  local position, index = native['last-delivered-id'], tonumber(native['entries-read'])
  if state['kind'] == 'consumer' then position, index = state['position'], tonumber(state['index']) end
  local lag, known, oldest = lag_after(position, index)
  local group = {
    name = name, state = state, pending = native['pending'], position = position,
    lag = lag, known = known, oldest = oldest,
    dead = redis.call('XLEN', stream .. ':dead:' .. name),
    redrive = redis.call('XLEN', stream .. ':redrive:' .. name),
    consumers = {},
  }
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, name)) do
    local by = fields_of(consumer)
    group.consumers[#group.consumers + 1] = {name = by['name'], pending = by['pending'], idle = by['idle']}
  end
  local summary = redis.call('XPENDING', stream, name)
  group.oldestPending = summary[2] or ''
  answer.groups[#answer.groups + 1] = group
end
return cjson.encode(answer)
`,
)
