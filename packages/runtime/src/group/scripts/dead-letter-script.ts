import { defineScript, type Script } from '../../connection/script.ts'
import { deadLetterFields } from '../../delivery/dead-letter-fields.ts'
import { memberRecordLua } from '../member-record.ts'

/** Moves one event to the dead letters of its group. */
export const deadLetterScript: Script = defineScript(
  'group-dead-letter',
  `#!lua flags=allow-oom
--[[ Copies an entry as it is to the dead letters, with the reason beside it, and acknowledges it, in one
step. Repeating it changes nothing more: the entry is then no longer pending for the caller.
KEYS 1 stream, 2 state, 3 dead letters
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, 5 id, 6 reason, 7 attempts, 8 error, 9 greatest length
Answers {'OK'}, {'SETTLED'} when it is not pending for the caller, {'EXPIRED'} when it has left the
  stream, {'FULL'}, or {'GONE'}, {'REVOKED'}, {'RECREATED'}
]]
${memberRecordLua}
local standing = standing_of(KEYS[2], ARGV[2], ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
local stream, group, id = KEYS[1], ARGV[1], ARGV[5]
local pending = redis.pcall('XPENDING', stream, group, id, id, 1, ARGV[2])
if pending['err'] or #pending == 0 then return {'SETTLED'} end
local entry = redis.call('XRANGE', stream, id, id)[1]
if not entry then
  redis.call('XACK', stream, group, id)
  return {'EXPIRED'}
end
if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[9]) then return {'FULL'} end
local fields = entry[2]
fields[#fields + 1] = '${deadLetterFields.id}'
fields[#fields + 1] = id
fields[#fields + 1] = '${deadLetterFields.reason}'
fields[#fields + 1] = ARGV[6]
fields[#fields + 1] = '${deadLetterFields.attempts}'
fields[#fields + 1] = ARGV[7]
fields[#fields + 1] = '${deadLetterFields.error}'
fields[#fields + 1] = ARGV[8]
redis.call('XADD', KEYS[3], '*', unpack(fields))
redis.call('XACK', stream, group, id)
return {'OK'}
`,
)
