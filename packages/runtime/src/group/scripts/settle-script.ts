import { defineScript, type Script } from '../../connection/script.ts'
import { MEMBER_FIELD, memberRecordLua } from '../member-record.ts'

/** Settles a batch of deliveries of one member. */
export const settleScript: Script = defineScript(
  'group-settle',
  `#!lua flags=allow-oom
--[[ Acknowledges, writes attempts, and gives back, after one check of the token. Repeating it changes
nothing more.
KEYS 1 stream, 2 state
ARGV 1 group, 2 consumer name, 3 token, 4 stamp, 5 name to give back under,
     6 the ids to acknowledge, a JSON array: one argument is sent four times as quickly as hundreds,
     and JSON is taken apart in half the time of a pattern,
     7 number of attempts to write, 8 number to give back,
     then id and count to write, then id, idle and count to give back
Only entries that are pending for the caller are written or given back: others are another member's by
now, and stay there.
Answers {'OK', {ids to write that have left the stream ...}, {ids to write that are not the caller's ...},
  number of acks that were still pending}
  or {'GONE'}, {'REVOKED'}, {'RECREATED'}
]]
${memberRecordLua}
local stream, state = KEYS[1], KEYS[2]
local group, name = ARGV[1], ARGV[2]
local standing = standing_of(state, name, ARGV[3], ARGV[4])
if standing ~= 'OK' then return {standing} end
local acks, writes, backs = cjson.decode(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local acked = #acks > 0 and redis.call('XACK', stream, group, unpack(acks)) or 0
local gone, foreign = {}, {}
local function is_mine(id)
  local owned = redis.pcall('XPENDING', stream, group, id, id, 1, name)
  return not owned['err'] and #owned == 1
end
local at = 9
for _ = 1, writes do
  local id = ARGV[at]
  if not is_mine(id) then
    foreign[#foreign + 1] = id
  elseif #redis.call('XCLAIM', stream, group, name, 0, id, 'RETRYCOUNT', ARGV[at + 1], 'JUSTID') == 0 then
    redis.call('XACK', stream, group, id)
    gone[#gone + 1] = id
  end
  at = at + 2
end
if backs > 0 then
  local back = ARGV[5]
  if redis.call('HEXISTS', state, '${MEMBER_FIELD}' .. back) == 0 then
    local me = member_of(state, name)
    write_member(state, back, me.token, '0', me.lease, 'released', '')
  end
  for _ = 1, backs do
    if is_mine(ARGV[at]) then
      redis.call('XCLAIM', stream, group, back, 0, ARGV[at],
        'IDLE', ARGV[at + 1], 'RETRYCOUNT', ARGV[at + 2], 'JUSTID')
    end
    at = at + 3
  end
end
return {'OK', gone, foreign, acked}
`,
)
