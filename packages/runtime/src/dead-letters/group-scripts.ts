import { defineScript, type Script } from '../connection/script.ts'
import { deadLetterFields } from '../delivery/dead-letter-fields.ts'
import { memberRecordLua, nativeGroupLua } from '../group/member-record.ts'
import { letterAgainLua } from './letter-again-lua.ts'

/**
 * Lua that finds who answers for entries of a native consumer. The redrive stream has a native group of
 * its own under the same name, with the same consumer names; whether a member lives is known from its
 * record in the state alone.
 */
const ownerLua = `
-- The live member that answers for a consumer: itself, or whoever revoked it, and so on; nil for none.
-- Second, whether anybody on the way was revoked.
local function owner_of(state, name)
  local revoked = false
  for _ = 1, 64 do
    local record = member_of(state, name)
    if not record or record.standing == 'released' then return nil, revoked end
    if record.standing == 'live' then return name, revoked end
    revoked = true
    name = record.detail
  end
  return nil, revoked
end

local function is_mine(state, redrive, group, id, name)
  local pending = redis.pcall('XPENDING', redrive, group, id, id, 1)
  if pending['err'] or #pending == 0 then return false end
  return pending[1][2] == name or owner_of(state, pending[1][2]) == name
end
`

/** Takes redriven events for a member. */
export const takeScript: Script = defineScript(
  'group-redrive-take',
  `#!lua flags=allow-oom
--[[ Gives the caller redriven events: first what consumers hold behind which no live member stands, then
events that nobody has had; at last events that fell out of the native group behind everybody's back.
Lists all that are pending for the caller, also those of an answer that was lost.
KEYS 1 state, 2 redrive
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, 5 greatest number of events to take
Answers {'OK', events that nobody has, {id, idle, count, event's own id, '1' if a member died with it, ...}}
  or {'GONE'}, {'REVOKED'}, {'RECREATED'}
]]
${memberRecordLua}
${nativeGroupLua}
${ownerLua}
local state, redrive = KEYS[1], KEYS[2]
local group, name = ARGV[1], ARGV[2]
local standing = standing_of(state, name, ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
local length = redis.call('XLEN', redrive)
if length == 0 then return {'OK', 0, {}} end
if not native_group(redrive, group) then redis.call('XGROUP', 'CREATE', redrive, group, '0') end

local room = tonumber(ARGV[5])
local suspects = {}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', redrive, group)) do
  local other = fields_of(flat)['name']
  local owner, revoked = owner_of(state, other)
  if other ~= name and (not owner or owner == name) then
    -- What the caller's own predecessors had is the caller's, however much it is.
    local most = owner == name and 500 or room
    local moved = {}
    if most > 0 then move_pending(redrive, group, other, name, most, moved) end
    for i = 1, #moved, 3 do
      if revoked then suspects[moved[i]] = true end
      room = room - 1
    end
    if #redis.call('XPENDING', redrive, group, '-', '+', 1, other) == 0 then
      redis.call('XGROUP', 'DELCONSUMER', redrive, group, other)
    end
  end
end
if room > 0 then
  redis.call('XREADGROUP', 'GROUP', group, name, 'COUNT', room, 'STREAMS', redrive, '>')
end

local known = redis.call('XPENDING', redrive, group)[1]
local read = native_group(redrive, group)['last-delivered-id']
local left = redis.call('XRANGE', redrive, '(' .. read, '+', 'COUNT', 1)
if #left == 0 and length > known then
  for _, entry in ipairs(redis.call('XRANGE', redrive, '-', '+', 'COUNT', 100)) do
    if #redis.call('XPENDING', redrive, group, entry[1], entry[1], 1) == 0 then
      redis.call('XCLAIM', redrive, group, name, 0, entry[1], 'RETRYCOUNT', 1, 'FORCE', 'JUSTID')
    end
  end
end

local mine = {}
for _, pending in ipairs(redis.call('XPENDING', redrive, group, '-', '+', 128, name)) do
  local id = pending[1]
  local entry = redis.call('XRANGE', redrive, id, id)[1]
  local event = id
  for i = 1, entry and #entry[2] or 0, 2 do
    if entry[2][i] == '${deadLetterFields.id}' then event = entry[2][i + 1] end
  end
  for _, value in ipairs({id, pending[3], pending[4], event, suspects[id] and '1' or ''}) do
    mine[#mine + 1] = value
  end
end
return {'OK', #left > 0 and length - known or 0, mine}
`,
)

/** Settles redriven events of one member. */
export const settleRedrivesScript: Script = defineScript(
  'group-redrive-settle',
  `#!lua flags=allow-oom
--[[ Removes redriven events that are handled, writes attempts, and gives events back, after one check of
the token. Repeating it changes nothing more. Only what is pending for the caller, or for a consumer
that it answers for, is written or given back.
KEYS 1 state, 2 redrive
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, 5 name to give back under,
     6 number of events handled, 7 number of attempts to write, 8 number to give back,
     then the ids handled, then id and count to write, then id, idle and count to give back
Answers {'OK', {ids to write that are gone ...}, {ids to write that are not the caller's ...}}
  or {'GONE'}, {'REVOKED'}, {'RECREATED'}
]]
${memberRecordLua}
${ownerLua}
local state, redrive = KEYS[1], KEYS[2]
local group, name = ARGV[1], ARGV[2]
local standing = standing_of(state, name, ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
local at = 9
for _ = 1, tonumber(ARGV[6]) do
  redis.pcall('XACK', redrive, group, ARGV[at])
  redis.call('XDEL', redrive, ARGV[at])
  at = at + 1
end
local gone, foreign = {}, {}
for _ = 1, tonumber(ARGV[7]) do
  local id = ARGV[at]
  if not is_mine(state, redrive, group, id, name) then
    foreign[#foreign + 1] = id
  elseif #redis.call('XCLAIM', redrive, group, name, 0, id, 'RETRYCOUNT', ARGV[at + 1], 'JUSTID') == 0 then
    redis.call('XACK', redrive, group, id)
    gone[#gone + 1] = id
  end
  at = at + 2
end
for _ = 1, tonumber(ARGV[8]) do
  if is_mine(state, redrive, group, ARGV[at], name) then
    redis.call('XCLAIM', redrive, group, ARGV[5], 0, ARGV[at],
      'IDLE', ARGV[at + 1], 'RETRYCOUNT', ARGV[at + 2], 'JUSTID')
  end
  at = at + 3
end
return {'OK', gone, foreign}
`,
)

/** Moves a redriven event back to the dead letters of its group. */
export const returnScript: Script = defineScript(
  'group-redrive-return',
  `#!lua flags=allow-oom
--[[ Moves a redriven event that failed for good back to the dead letters, in one step. Repeating it
changes nothing more: the event is then no longer pending for the caller.
KEYS 1 state, 2 redrive, 3 dead letters
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, 5 id on the redrive stream, 6 reason, 7 attempts,
     8 error, 9 greatest length
Answers {'OK'}, {'SETTLED'} when it is not pending for the caller, {'EXPIRED'} when it is gone,
  {'FULL'}, or {'GONE'}, {'REVOKED'}, {'RECREATED'}
]]
${memberRecordLua}
${ownerLua}
${letterAgainLua}
local state, redrive, dead = KEYS[1], KEYS[2], KEYS[3]
local group, name, id = ARGV[1], ARGV[2], ARGV[5]
local standing = standing_of(state, name, ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
if not is_mine(state, redrive, group, id, name) then return {'SETTLED'} end
local entry = redis.call('XRANGE', redrive, id, id)[1]
if not entry then
  redis.call('XACK', redrive, group, id)
  return {'EXPIRED'}
end
if redis.call('XLEN', dead) >= tonumber(ARGV[9]) then return {'FULL'} end
redis.call('XADD', dead, '*', unpack(letter_again(entry[2], ARGV[6], ARGV[7], ARGV[8])))
redis.call('XACK', redrive, group, id)
redis.call('XDEL', redrive, id)
return {'OK'}
`,
)
