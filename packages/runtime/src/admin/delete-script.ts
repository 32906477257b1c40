import { defineScript, type Script } from '../connection/script.ts'
import { NAMESPACE_FIELD } from '../blob/place-script.ts'
import { LETTERS_FIELD, NAME_FIELD } from '../retention/names.ts'
import { sightLua } from '../retention/sight-lua.ts'

/** Deletes a stream and everything that belongs to it. */
export const deleteScript: Script = defineScript(
  'admin-delete',
  `#!lua flags=allow-oom
--[[ Deletes a stream with all its companions in one step, if nobody is at work on it.
KEYS 1 stream, 2 meta, 3 producers, 4 and 5 idempotency, then others that go as well
ARGV 1 what was seen of holders and members, '' or '*' to delete whatever is seen, 2 '1' for a dry run
Answers {'HELD', what is seen, longest lease in ms, names ...}, or {'OK', events, namespace of blobs or '',
  keys that are deleted ...}
The states, dead letters and redrive streams of the stream's readers carry its hash tag
]]
${sightLua}
local stream, meta = KEYS[1], KEYS[2]
local known = redis.call('HGETALL', meta)
local names, namespace = {}, ''
for i = 1, #known, 2 do
  local name = known[i]:match('^${NAME_FIELD}(.*)$') or known[i]:match('^${LETTERS_FIELD}(.*)$')
  if name then names[name] = true end
  if known[i] == '${NAMESPACE_FIELD}' then namespace = known[i + 1] end
end
local length = 0
if redis.call('EXISTS', stream) == 1 then
  length = redis.call('XLEN', stream)
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    for i = 1, #group, 2 do if group[i] == 'name' then names[group[i + 1]] = true end end
  end
end

local sights, longest, held = {}, 0, {}
local keys, seen = {}, {}
local function add(key)
  if not seen[key] and redis.call('EXISTS', key) == 1 then keys[#keys + 1] = key end
  seen[key] = true
end
for _, key in ipairs(KEYS) do add(key) end
for name, _ in pairs(names) do
  local state = stream .. ':state:' .. name
  local kind = redis.call('HGET', state, 'kind')
  if kind then
    local sight, lease = sight_of(state, kind)
    if sight ~= '' then
      sights[#sights + 1] = name .. ' ' .. sight
      held[#held + 1] = name
      longest = math.max(longest, lease)
    end
  end
  add(state)
  add(stream .. ':dead:' .. name)
  add(stream .. ':redrive:' .. name)
end
table.sort(sights)
table.sort(held)
local sight = table.concat(sights, '\\n')
if sight ~= '' and ARGV[1] ~= '*' and sight ~= ARGV[1] and ARGV[2] ~= '1' then
  return {'HELD', sight, longest, unpack(held)}
end
table.sort(keys)
if ARGV[2] ~= '1' then for _, key in ipairs(keys) do redis.call('UNLINK', key) end end
return {'OK', length, namespace, unpack(keys)}
`,
)
