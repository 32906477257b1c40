import { defineScript, type Script } from '../../connection/script.ts'
import { memberRecordLua, nativeGroupLua } from '../member-record.ts'

/** Lists what is pending for a member. */
export const pendingScript: Script = defineScript(
  'group-pending',
  `
--[[ Lists one page of the caller's own pending entries, without touching their counts.
KEYS 1 stream, 2 state
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, 5 id to start at, 6 greatest number
Answers {'OK', {id, idle, count, ...}} or {'GONE'}, {'REVOKED'}, {'RECREATED'}, {'NOGROUP'}
]]
${memberRecordLua}
${nativeGroupLua}
local standing = standing_of(KEYS[2], ARGV[2], ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
if not native_group(KEYS[1], ARGV[1]) then return {'NOGROUP'} end
local flat = {}
for _, entry in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[5], '+', ARGV[6], ARGV[2])) do
  flat[#flat + 1] = entry[1]
  flat[#flat + 1] = entry[3]
  flat[#flat + 1] = entry[4]
end
return {'OK', flat}
`,
)

/** Makes entries pending again that somebody took out of the native group behind a member's back. */
export const restoreScript: Script = defineScript(
  'group-restore',
  `#!lua flags=allow-oom
--[[ Makes entries pending for the caller that are pending for nobody (an operator's XGROUP DELCONSUMER
drops them). Entries that another consumer has are left there.
KEYS 1 stream, 2 state
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, then id and count of each entry
Answers {'OK', {id restored or already the caller's, ...}}
  or {'GONE'}, {'REVOKED'}, {'RECREATED'}, {'NOGROUP'}
]]
${memberRecordLua}
${nativeGroupLua}
local standing = standing_of(KEYS[2], ARGV[2], ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
if not native_group(KEYS[1], ARGV[1]) then return {'NOGROUP'} end
local mine = {}
for at = 5, #ARGV, 2 do
  local id = ARGV[at]
  local owner = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  if owner then
    if owner[2] == ARGV[2] then mine[#mine + 1] = id end
  else
    local got = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id,
      'RETRYCOUNT', ARGV[at + 1], 'FORCE', 'JUSTID')
    if #got > 0 then mine[#mine + 1] = id end
  end
end
return {'OK', mine}
`,
)
