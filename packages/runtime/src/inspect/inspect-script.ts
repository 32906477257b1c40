import { defineScript, type Script } from '../connection/script.ts'
import { streamIdLua } from '../stream/incarnation.ts'

/** Up to so many events are counted one by one where the figures of Redis do not tell the lag. */
export const MOST_COUNTED = 1_000

export const inspectScript: Script = defineScript(
  'inspect',
  `
--[[ Everything about one stream at one moment, as JSON.
KEYS 1 stream, 2 meta
ARGV 1 how many events may be counted for a lag that the figures do not tell
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

-- How many events lie after the position, whether that is certain, and the first of them.
local function lag_after(position, index)
  if length == 0 or not id_before(position, last) then return 0, true, '' end
  if id_before(position, first) then return length, true, first end
  local next_entry = redis.call('XRANGE', stream, '(' .. position, '+', 'COUNT', 1)
  if #next_entry == 0 then return 0, true, '' end
  local oldest = next_entry[1][1]
  if index ~= '' and not id_before(position, deleted) then return added - index, true, oldest end
  local most = tonumber(ARGV[1])
  local counted = #redis.call('XRANGE', stream, '(' .. position, '+', 'COUNT', most + 1)
  if counted <= most then return counted, true, oldest end
  -- By time, between what was counted and what the stream holds.
  local function ms(id) return tonumber(id:match('^(%d+)')) end
  local span = ms(last) - ms(first)
  local share = span > 0 and (ms(last) - ms(position)) / span or 1
  return math.min(length, math.max(counted, math.floor(length * share))), false, oldest
end

for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local native = fields_of(flat)
  local name = native['name']
  local state = fields_of(redis.call('HGETALL', stream .. ':state:' .. name))
  local position, index = native['last-delivered-id'], native['entries-read'] or ''
  if state['kind'] == 'consumer' then position, index = state['position'], state['index'] or '' end
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
