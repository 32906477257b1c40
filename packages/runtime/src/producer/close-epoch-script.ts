import { defineScript, type Script } from '../connection/script.ts'

/**
 * Ends a producer epoch. Runs under `maxmemory` too: what became of events must be found out then as
 * well.
 */
export const closeEpochScript: Script = defineScript(
  'close-epoch',
  `#!lua flags=allow-oom
--[[ Closes a producer epoch for good: no batch of it is appended any more. Repeatable.
KEYS 1 producers
ARGV 1 record (producer id:epoch)
Answers {last sequence, the lines of the batches that may still have been unanswered}
]]
local record = redis.call('HGET', KEYS[1], ARGV[1])
local last, lines = '0', ''
if record then
  local _, sequence, rest = string.match(record, '^(%a+) (%d+) %d+\\n(.*)$')
  last, lines = sequence, rest
end
redis.call('HSET', KEYS[1], ARGV[1],
  'closed ' .. last .. ' ' .. redis.call('TIME')[1] .. '\\n' .. lines)
return {last, lines}
`,
)
