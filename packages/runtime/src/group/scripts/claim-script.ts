import { defineScript, type Script } from '../../connection/script.ts'
import { MEMBER_FIELD, memberRecordLua, nativeGroupLua } from '../member-record.ts'

/** Takes entries of a member that is dead or has given them back. */
export const claimScript: Script = defineScript(
  'group-claim',
  `#!lua flags=allow-oom
--[[ Revokes another consumer of the group, by compare-and-set on its record, and moves one page of its
pending entries to the caller. At nothing pending it removes the consumer from the native group. The
record of a revoked member stays, that of one which released its entries goes.
KEYS 1 stream, 2 state
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, 5 name to claim from,
     6 its record as the caller saw it, or '' for a name without one, 7 greatest number of entries
Answers {'OK', 1 when nothing is left or 0, entries that had left the stream, {id, idle, count, ...}}
  or {'CHANGED'} when the record is another one,
  or {'GONE'}, {'REVOKED'}, {'RECREATED'}, {'NOGROUP'} about the caller
]]
${memberRecordLua}
${nativeGroupLua}
local stream, state = KEYS[1], KEYS[2]
local group, name, from = ARGV[1], ARGV[2], ARGV[5]
local standing = standing_of(state, name, ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
if not native_group(stream, group) then return {'NOGROUP'} end
local there = member_of(state, from)
if not there then
  if ARGV[6] ~= '' then return {'CHANGED'} end
  write_member(state, from, '', server_seconds(), '0', 'revoked', name)
elseif there.standing == 'live' then
  if there.text ~= ARGV[6] then return {'CHANGED'} end
  write_member(state, from, there.token, server_seconds(), there.lease, 'revoked', name)
end
local moved = {}
local _, expired = move_pending(stream, group, from, name, tonumber(ARGV[7]), moved)
local left = #redis.call('XPENDING', stream, group, '-', '+', 1, from)
if left == 0 then
  redis.call('XGROUP', 'DELCONSUMER', stream, group, from)
  if there and there.standing == 'released' then redis.call('HDEL', state, '${MEMBER_FIELD}' .. from) end
end
return {'OK', left == 0 and 1 or 0, expired, moved}
`,
)
