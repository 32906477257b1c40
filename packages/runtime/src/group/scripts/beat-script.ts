import { PAUSED_FIELD } from '../../admin/pauses.ts'
import { defineScript, type Script } from '../../connection/script.ts'
import { activityLua } from '../../retention/activity-lua.ts'
import { gapLua } from '../../retention/gap-lua.ts'
import { MEMBER_FIELD, memberRecordLua, nativeGroupLua } from '../member-record.ts'

/** Says that a member is alive, and shows it the others. */
export const beatScript: Script = defineScript(
  'group-beat',
  `#!lua flags=allow-oom
--[[ Raises a member's beat, records the group's checkpoint (everything up to it is settled) and tells
of all other consumers of the native group and of all other member records.
KEYS 1 stream, 2 meta, 3 state, 4 redrive
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, 5 host, 6 seconds after which a revoked record goes,
     7 the gap that the caller has told of or ''
Answers {'OK', own pending, redrive length, entries-added, last-generated-id,
  {name, record or '', pending or -1, ...}, gap or '', pauses or ''}
  or {'GONE'}, {'REVOKED'}, {'RECREATED'}, {'NOGROUP'}
]]
${activityLua}
${gapLua}
${memberRecordLua}
${nativeGroupLua}
local stream, meta, state = KEYS[1], KEYS[2], KEYS[3]
local group, name = ARGV[1], ARGV[2]
local standing = standing_of(state, name, ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
local native = native_group(stream, group)
if not native then return {'NOGROUP'} end
local known = redis.call('HMGET', meta, 'incarnation', '${PAUSED_FIELD}')
local incarnation = known[1]
if incarnation ~= ARGV[4]:match('^(.-)/') then return {'RECREATED'} end

local me = member_of(state, name)
write_member(state, name, me.token, me.beat + 1, me.lease, 'live', ARGV[5])

-- The greatest id before another, or nil where a Lua number cannot tell it exactly.
local function previous_id(id)
  local ms, sequence = id:match('^(%d+)%-(%d+)$')
  if #ms > 15 or #sequence > 15 then return nil end
  if sequence ~= '0' then return ms .. '-' .. string.format('%.0f', tonumber(sequence) - 1) end
  if ms == '0' then return '0-0' end
  return string.format('%.0f', tonumber(ms) - 1) .. '-18446744073709551615'
end
local pending = redis.call('XPENDING', stream, group)
local position = native['last-delivered-id']
if pending[1] > 0 then position = previous_id(pending[2]) end
local figures = fields_of(redis.call('XINFO', 'STREAM', stream))
if position then redis.call('HSET', state, 'position', position, 'added', figures['entries-added']) end

local noted = redis.call('HMGET', state, 'gap', 'active')
local gap = remaining_gap(noted[1] or '', ARGV[7])
if gap ~= (noted[1] or '') then redis.call('HSET', state, 'gap', gap) end
local active = sign_of_life(noted[2])
if active then redis.call('HSET', state, 'active', active) end

local counts = {}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local by = fields_of(flat)
  counts[by['name']] = by['pending']
end
local others = {}
local function tell(who, record)
  others[#others + 1] = who
  others[#others + 1] = record
  others[#others + 1] = counts[who] or -1
end
local now = tonumber(server_seconds())
local all = redis.call('HGETALL', state)
for i = 1, #all, 2 do
  local who = all[i]:match('^${MEMBER_FIELD}(.*)$')
  if who and who ~= name then
    local since = all[i + 1]:match('^[^|]*|(%d+)|%d+|revoked|')
    if not since or counts[who] then
      tell(who, all[i + 1])
    elseif now - tonumber(since) > tonumber(ARGV[6]) then
      redis.call('HDEL', state, all[i])
    end
    if counts[who] then counts[who] = nil end
  end
end
local own = counts[name] or 0
counts[name] = nil
for who, _ in pairs(counts) do tell(who, '') end
local redrive = redis.pcall('XLEN', KEYS[4])
if type(redrive) == 'table' then redrive = 0 end
return {'OK', own, redrive, figures['entries-added'], figures['last-generated-id'], others, gap,
  known[2] or ''}
`,
)
