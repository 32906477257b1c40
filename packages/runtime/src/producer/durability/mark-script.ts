import { defineScript, evaluate, type Script } from '../../connection/script.ts'
import type { Session } from '../../connection/session.ts'
import type { StreamKeys } from '../../stream/keys.ts'

const markScript: Script = defineScript(
  'durability-mark',
  `#!lua flags=allow-oom
--[[ Says up to where a producer epoch is in the stream on this very server, and writes its record again as
it is. WAIT speaks of what its own connection has written: of this, which came behind all of that.
KEYS 1 producers
ARGV 1 record (producer id:epoch)
Answers the last sequence that is in the stream, '-1' where the record is not known
]]
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return '-1' end
redis.call('HSET', KEYS[1], ARGV[1], record)
return string.match(record, '^%a+ (%d+)')
`,
)

/** Answers the last sequence of the epoch that is in the stream there; -1 where none is known. */
export async function mark(session: Session, keys: StreamKeys, record: string): Promise<number> {
  return Number(await evaluate(session, markScript, [keys.producers], [record]))
}
