import { defineScript, type Script } from '../connection/script.ts'

/** Puts dead letters on their way back. */
export const redriveScript: Script = defineScript(
  'dead-letters-redrive',
  `#!lua flags=allow-oom
--[[ Moves dead letters to the redrive stream as they are, in the order given, so that a crash can
neither lose nor double one. Repeating it moves nothing twice: a letter that was moved is gone.
KEYS 1 dead letters, 2 redrive
ARGV the letters' ids
Answers {the ids that were there and were moved ...}
]]
local moved = {}
for _, id in ipairs(ARGV) do
  local letter = redis.call('XRANGE', KEYS[1], id, id)[1]
  if letter then
    redis.call('XADD', KEYS[2], '*', unpack(letter[2]))
    redis.call('XDEL', KEYS[1], id)
    moved[#moved + 1] = id
  end
end
return moved
`,
)

/** Removes dead letters for good. */
export const discardScript: Script = defineScript(
  'dead-letters-discard',
  `#!lua flags=allow-oom
--[[ Removes dead letters. Repeating it changes nothing more.
KEYS 1 dead letters
ARGV the letters' ids
Answers {the ids that were there and were removed ...}
]]
local removed = {}
for _, id in ipairs(ARGV) do
  if redis.call('XDEL', KEYS[1], id) == 1 then removed[#removed + 1] = id end
end
return removed
`,
)
