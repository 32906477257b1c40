import { PAUSED_FIELD } from '../../admin/pauses.ts'
import { defineScript, type Script } from '../../connection/script.ts'
import { activityLua } from '../../retention/activity-lua.ts'
import { NAME_FIELD } from '../../retention/names.ts'
import { incarnationLua, streamIdLua } from '../../stream/incarnation.ts'
import { memberRecordLua, nativeGroupLua } from '../member-record.ts'

/** Makes one a member, and creates whatever is missing. */
export const joinScript: Script = defineScript(
  'group-join',
  `#!lua flags=allow-oom
--[[ Registers a member under a new consumer name; creates stream, state and native group where they
are missing; takes over everything that is pending for the member's own predecessor (the same process
on an earlier connection). Repeating it with the same arguments changes nothing more.
KEYS 1 stream, 2 meta, 3 state
ARGV 1 tag, 2 a new incarnation, 3 group, 4 consumer name, 5 nonce, 6 lease in ms, 7 host,
     8 start position: an id or 'latest', 9 predecessor's consumer name or '', 10 its token
Answers {'OK', token, incarnation, generation, outcome, old position, position, predecessor, expired,
  {id, idle, count, ... of all that is pending for the new name}, gap or '', pauses or ''}
  where outcome is created, joined, group-recreated or recreated, and predecessor is NONE, OK, REVOKED
  or GONE;
  or {'REVOKED'} when others have claimed from the name before an answer could arrive;
  or {'NAME_IN_USE', kind}, {'TYPE', key, type}
]]
${incarnationLua}
${streamIdLua}
${activityLua}
${memberRecordLua}
${nativeGroupLua}
local stream, meta, state = KEYS[1], KEYS[2], KEYS[3]
local group, name, nonce = ARGV[3], ARGV[4], ARGV[5]
for i = 1, 3 do
  local kind = redis.call('TYPE', KEYS[i])['ok']
  if kind ~= 'none' and kind ~= (i == 1 and 'stream' or 'hash') then return {'TYPE', KEYS[i], kind} end
end
local kind = redis.call('HGET', state, 'kind')
if kind and kind ~= 'group' then return {'NAME_IN_USE', kind} end

local known = redis.call('HMGET', state, 'incarnation', 'position', 'added')
local incarnation = incarnation_of(stream, meta, ARGV[2], ARGV[1])
local native = native_group(stream, group)
local figures = {['last-generated-id'] = '0-0', ['entries-added'] = 0, ['length'] = 0}
if redis.call('EXISTS', stream) == 1 then figures = fields_of(redis.call('XINFO', 'STREAM', stream)) end

local outcome, position = 'joined', known[2]
if not known[1] then
  outcome = 'created'
  position = ARGV[8] ~= 'latest' and ARGV[8] or figures['last-generated-id']
elseif known[1] ~= incarnation then
  outcome, position = 'recreated', '0-0'
elseif not native then
  -- Figures that go backwards under one incarnation are another stream's, whoever made it.
  local backwards = id_before(figures['last-generated-id'], known[2])
    or figures['entries-added'] < tonumber(known[3] or '0')
  outcome = backwards and 'recreated' or 'group-recreated'
  if backwards then position = '0-0' end
end
if not native then
  local read
  local untouched = figures['max-deleted-entry-id'] == '0-0' or figures['length'] == 0
  if position == figures['last-generated-id'] then
    read = figures['entries-added']
  elseif position == '0-0' and untouched then
    read = figures['entries-added'] - figures['length']
  end
  if read then
    redis.call('XGROUP', 'CREATE', stream, group, position, 'MKSTREAM', 'ENTRIESREAD', read)
  else
    redis.call('XGROUP', 'CREATE', stream, group, position, 'MKSTREAM')
  end
elseif not known[1] then
  -- A group that somebody else made goes on where it is.
  position = native['last-delivered-id']
end
if outcome ~= 'joined' then
  redis.call('HSET', state, 'kind', 'group', 'incarnation', incarnation, 'position', position,
    'added', figures['entries-added'])
  redis.call('HINCRBY', state, 'generation', 1)
  local retained = redis.call('HMGET', meta, 'floor', 'trimmed')
  if retained[1] and id_before(position, retained[1]) then redis.call('HSET', meta, 'floor', position) end
  -- Whoever asks for a place in the stream that is gone is told so; how much was there nobody knows.
  if outcome == 'created' and position ~= '0-0' and retained[2] and id_before(position, retained[2])
    and not id_before(figures['last-generated-id'], retained[2]) then
    redis.call('HSET', state, 'gap', table.concat({position, retained[2], '', incarnation}, ','))
  end
end
redis.call('HSET', meta, '${NAME_FIELD}' .. group, 'group')
redis.call('HSET', state, 'active', server_ms())

local here = member_of(state, name)
local token
if here then
  if here.standing ~= 'live' then return {'REVOKED'} end
  token = here.token
else
  token = redis.call('HINCRBY', state, 'counter', 1) .. '-' .. nonce
  write_member(state, name, token, '0', ARGV[6], 'live', ARGV[7])
end
redis.call('XGROUP', 'CREATECONSUMER', stream, group, name)

local predecessor, expired = 'NONE', 0
if ARGV[9] ~= '' then
  local before = member_of(state, ARGV[9])
  if not before then
    predecessor = 'GONE'
  elseif before.token ~= ARGV[10] then
    predecessor = 'REVOKED'
  elseif before.standing == 'live' then
    predecessor = 'OK'
    write_member(state, ARGV[9], before.token, server_seconds(), before.lease, 'revoked', name)
    repeat
      local looked, gone = move_pending(stream, group, ARGV[9], name, 500, nil)
      expired = expired + gone
    until looked == 0
    redis.call('XGROUP', 'DELCONSUMER', stream, group, ARGV[9])
  else
    predecessor = before.detail == name and 'OK' or 'REVOKED'
  end
end
local mine, from = {}, '-'
repeat
  local page = redis.call('XPENDING', stream, group, from, '+', 500, name)
  for _, entry in ipairs(page) do
    mine[#mine + 1] = entry[1]
    mine[#mine + 1] = entry[3]
    mine[#mine + 1] = entry[4]
    from = '(' .. entry[1]
  end
until #page < 500
local generation = redis.call('HGET', state, 'generation')
return {'OK', token, incarnation, generation, outcome, known[2] or position, position,
  predecessor, expired, mine, redis.call('HGET', state, 'gap') or '',
  redis.call('HGET', meta, '${PAUSED_FIELD}') or ''}
`,
)
