import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { placementsOf } from './answer.ts'
import type { Placement } from './window.ts'

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

export interface ClosedEpoch {
  /** The last sequence that was appended. */
  readonly last: number
  /** Where the batches are whose answers the producer may not have seen, by first sequence. */
  readonly placements: ReadonlyMap<number, Placement>
}

/** Closes an epoch; may be repeated when the answer was lost. */
export async function closeEpoch(
  session: Session,
  keys: StreamKeys,
  record: string,
): Promise<ClosedEpoch> {
  const reply = await evaluate(session, closeEpochScript, [keys.producers], [record])
  const [last, lines] = reply as [string, string]
  return { last: Number(last), placements: placementsOf(lines) }
}
