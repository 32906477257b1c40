import { defineScript, type Script } from '../connection/script.ts'
import { positionsLua } from './positions-lua.ts'
import { removalLua } from './removal-lua.ts'
import { streamNowLua } from './stream-now-lua.ts'

/** Removes what may go, and counts what goes unread. */
export const sweepScript: Script = defineScript(
  'sweep',
  `#!lua flags=allow-oom
--[[ One sweep of one stream, or the next part of one. Raises or lowers the floor to what everybody has
processed, removes what retention lets go, at most so much in one call, and counts for each reader what
it had not processed. Once in a period, whoever comes first. Repeating it counts nothing twice.
KEYS 1 stream, 2 meta
ARGV 1 period in ms, 2 '1' to go on with a sweep that has begun, 3 retention as text, 4 '1' if that text
  is the stream's, '' to go by the one that is stored, 5 silence in ms after which a name is abandoned,
  6 most entries to remove in this call, 7 most pending entries of a group to look at in this call
Answers {'NONE'} when there is no stream of ours, {'LATER', ms until the next sweep is due}, or
  {'SWEPT', '1' if there is more to do, removed, removed past the floor, floor, greatest id trimmed,
  {name, kind, last active in ms, ... of all that are abandoned}, {name, number expired, ...}}
The states of the stream's readers carry its hash tag
]]
${streamNowLua}
if ARGV[2] ~= '1' then
  local since = now - (tonumber(known['swept']) or 0)
  -- A clock that was set back must not keep everybody waiting.
  if since >= 0 and since < tonumber(ARGV[1]) then return {'LATER', tonumber(ARGV[1]) - since} end
  redis.call('HSET', meta, 'swept', whole(now))
end

local policy = ARGV[3]
if ARGV[4] == '1' then
  if known['retention'] ~= policy then redis.call('HSET', meta, 'retention', policy) end
else
  policy = known['retention'] or policy
end
local age, most_length, hard_length, unread = policy:match('^(%d+),(%d+),(%d+),(%a+)$')
age, most_length, hard_length = tonumber(age), tonumber(most_length), tonumber(hard_length)

local info = fields_of(redis.call('XINFO', 'STREAM', stream))
local length, last = info['length'], info['last-generated-id']
local trimmed = known['trimmed'] or '0-0'
-- Of a stream that somebody made anew without a word.
if id_before(last, trimmed) then trimmed = '0-0' end

${positionsLua}
${removalLua}

local readers, abandoned = all_readers()
local floor = cut_of(last, false)
for _, reader in ipairs(readers) do
  if cut_before(reader.processed, floor) then floor = reader.processed end
end
if known['floor'] ~= floor.id then redis.call('HSET', meta, 'floor', floor.id) end

-- What everybody has processed goes without being counted.
local old = age > 0 and now > age and cut_of(whole(now - age) .. '-0', true) or cut_of('0-0', false)
local function excess(allowed)
  return allowed > 0 and length - allowed or 0
end
remove_up_to(lesser(old, floor), length)
remove_up_to(floor, excess(most_length))
local free = removed

if not out_of_budget() then
  if unread == 'expire' then
    expire(readers, old, length)
    expire(readers, cut_of(last, false), excess(most_length))
  end
  expire(readers, cut_of(last, false), excess(hard_length))
end
local counts = settle_expired(readers)
if removed > 0 then redis.call('HSET', meta, 'trimmed', trimmed) end
return {'SWEPT', more and '1' or '', removed, removed - free, floor.id, trimmed, abandoned, counts}
`,
)
