import { defineScript, type Script } from '../connection/script.ts'
import { activityLua } from '../retention/activity-lua.ts'
import { MEMBER_FIELD } from '../group/member-record.ts'
import { sightLua } from '../retention/sight-lua.ts'
import { streamIdLua } from '../stream/incarnation.ts'

/** Moves the position of a consumer or consumer group at which nobody is at work. */
export const resetScript: Script = defineScript(
  'admin-reset',
  `#!lua flags=allow-oom
--[[ Gives a consumer or consumer group another position, in one step with its image and the floor. A holder
that is gone and comes back is refused whatever it writes: the token, or the generation, is another one.
KEYS 1 stream, 2 meta, 3 state
ARGV 1 name, 2 what was seen of holder or members or '', 3 position: an id or 'latest', 4 what becomes of
  pending entries, 5 '1' for a dry run, 6 nonce
Answers {'ABSENT'}, {'NONE'} when there is no stream, {'HELD', what is seen, longest lease in ms},
  {'PENDING', number}, or {'OK', kind, position before, position, number pending}
]]
${streamIdLua}
${activityLua}
${sightLua}
local stream, meta, state, name = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local kind = redis.call('HGET', state, 'kind')
if not kind then return {'ABSENT'} end
local incarnation = redis.call('HGET', meta, 'incarnation')
if not incarnation or redis.call('EXISTS', stream) == 0 then return {'NONE'} end
if ARGV[5] ~= '1' then
  local sight, longest = sight_of(state, kind)
  if sight ~= '' and sight ~= ARGV[2] then return {'HELD', sight, longest} end
end

local function fields_of(flat)
  local by = {}
  for i = 1, #flat, 2 do by[flat[i]] = flat[i + 1] end
  return by
end
local info = fields_of(redis.call('XINFO', 'STREAM', stream))
local last, added, length = info['last-generated-id'], info['entries-added'], info['length']
local position = ARGV[3] == 'latest' and last or ARGV[3]
local native
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local by = fields_of(flat)
  if by['name'] == name then native = by end
end
local stored = redis.call('HMGET', state, 'incarnation', 'position', 'counter', 'token')
local before = stored[1] == incarnation and stored[2] or '0-0'
if kind == 'group' and native then before = native['last-delivered-id'] end
local pending = native and native['pending'] or 0
if ARGV[5] == '1' then return {'OK', kind, before, position, pending} end
if kind == 'group' and pending > 0 and ARGV[4] == 'refuse' then return {'PENDING', pending} end

-- How many events lie at or before the position, where the figures tell.
local index = ''
if position == last then
  index = tostring(added)
elseif position == '0-0' and (info['max-deleted-entry-id'] == '0-0' or length == 0) then
  index = tostring(added - length)
end
local image = {'XGROUP', 'SETID', stream, name, position}
if native and kind == 'group' and pending > 0 and ARGV[4] == 'discard' then
  redis.call('XGROUP', 'DESTROY', stream, name)
  native = nil
end
if not native then image[2] = 'CREATE' end
if index ~= '' then
  image[6] = 'ENTRIESREAD'
  image[7] = index
end
redis.call(unpack(image))

local retained = redis.call('HMGET', meta, 'floor', 'trimmed')
if retained[1] and id_before(position, retained[1]) then redis.call('HSET', meta, 'floor', position) end
local gap = ''
if position ~= '0-0' and retained[2] and id_before(position, retained[2]) and not id_before(last, retained[2]) then
  gap = table.concat({position, retained[2], '', incarnation}, ',')
end
redis.call('HSET', state, 'incarnation', incarnation, 'position', position, 'gap', gap, 'active', server_ms())
if kind == 'consumer' then
  local counter = (tonumber(stored[3] or '0') or 0) + 1
  -- The number in the token never goes back: it may fence writes elsewhere.
  local number = (tonumber((stored[4] or ''):match('^(%d+)-')) or 0) + 1
  redis.call('HSET', state, 'index', index, 'ranges', '', 'attempts', '', 'dead', '',
    'counter', counter, 'token', string.format('%.0f', number) .. '-' .. ARGV[6], 'holder', '', 'beat', '0', 'released', '1',
    'deaths', '0', 'diedAt', '', 'quarantine', '0', 'ahead', id_before(last, position) and position or '')
else
  redis.call('HSET', state, 'added', added)
  redis.call('HINCRBY', state, 'generation', 1)
  if not native then
    -- Nothing is pending for anybody any more.
    local all = redis.call('HGETALL', state)
    for i = 1, #all, 2 do
      if all[i]:match('^${MEMBER_FIELD}') then redis.call('HDEL', state, all[i]) end
    end
  end
end
return {'OK', kind, before, position, pending}
`,
)
