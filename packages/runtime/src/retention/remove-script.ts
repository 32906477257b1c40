import { defineScript, type Script } from '../connection/script.ts'
import { LETTERS_FIELD, NAME_FIELD } from './names.ts'
import { sightLua } from './sight-lua.ts'

/** Removes a consumer or consumer group, if nobody works under its name. */
export const removeScript: Script = defineScript(
  'remove-reader',
  `#!lua flags=allow-oom
--[[ Removes the state and the native group of a consumer or consumer group. What it has not processed is
then no reason any more to keep anything. Its dead letters stay, unless they are to go as well.
KEYS 1 stream, 2 meta, 3 state, 4 dead letters, 5 redrive
ARGV 1 name, 2 kind, 3 what was seen of holder or members, or '', 4 '1' to discard dead letters, 5 its last sign
  of life in ms, if it is to go only while there is no later one, or ''
Answers {'OK'}, {'ABSENT'}, {'KIND', kind}, {'BACK'}, or {'HELD', what is seen, longest lease in ms}
]]
${sightLua}
local stream, meta, state, name = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local kind = redis.call('HGET', state, 'kind')
if not kind then
  redis.call('HDEL', meta, '${NAME_FIELD}' .. name)
  return {'ABSENT'}
end
if kind ~= ARGV[2] then return {'KIND', kind} end
-- Somebody may have come, worked and gone again since it was found abandoned.
if ARGV[5] ~= '' and (tonumber(redis.call('HGET', state, 'active')) or 0) > tonumber(ARGV[5]) then return {'BACK'} end

local sight, longest = sight_of(state, kind)
if sight ~= '' and sight ~= ARGV[3] then return {'HELD', sight, longest} end

-- First what a user may lack the right for, so that nothing is removed by half.
redis.call('UNLINK', state)
redis.pcall('XGROUP', 'DESTROY', stream, name)
redis.call('HDEL', meta, '${NAME_FIELD}' .. name)
if ARGV[4] == '1' then
  redis.call('UNLINK', KEYS[4], KEYS[5])
elseif redis.call('EXISTS', KEYS[4], KEYS[5]) > 0 then
  redis.call('HSET', meta, '${LETTERS_FIELD}' .. name, '1')
end
return {'OK'}
`,
)
