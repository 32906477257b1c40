import { defineScript, type Script } from '../../connection/script.ts'
import { MEMBER_FIELD, memberRecordLua } from '../member-record.ts'

/** Ends a membership in good order. */
export const leaveScript: Script = defineScript(
  'group-leave',
  `#!lua flags=allow-oom
--[[ Removes a member that reads no more. What is still pending for it is released: others may claim it at
once. Repeating it changes nothing more.
KEYS 1 stream, 2 state
ARGV 1 group, 2 consumer name, 3 token
Answers {'OK', entries still pending} or {'GONE'}, {'REVOKED'}
]]
${memberRecordLua}
local stream, state, group, name = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local me = member_of(state, name)
if not me then return {'GONE'} end
if me.token ~= ARGV[3] or me.standing == 'revoked' then return {'REVOKED'} end
local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1, name)
if pending['err'] or #pending == 0 then
  redis.pcall('XGROUP', 'DELCONSUMER', stream, group, name)
  redis.call('HDEL', state, '${MEMBER_FIELD}' .. name)
  return {'OK', 0}
end
write_member(state, name, me.token, me.beat, me.lease, 'released', '')
return {'OK', #pending}
`,
)
