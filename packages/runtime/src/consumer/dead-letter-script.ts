import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import {
  deadLetterFields,
  type DeadLetterReason,
  LONGEST_ERROR,
} from '../delivery/dead-letter-fields.ts'
import { streamIdLua } from '../stream/incarnation.ts'
import type { StreamKeys } from '../stream/keys.ts'

const deadLetterScript: Script = defineScript(
  'consumer-dead-letter',
  `#!lua flags=allow-oom
--[[ Moves one event of a consumer to its dead-letter stream and notes in the same step that it is done,
so that a crash between the two can neither lose nor double it.
Sending the same request again does no harm: moved ids are remembered until the position passes them.
KEYS 1 stream, 2 state, 3 dead-letter stream
ARGV 1 token, 2 id, 3 cap, then pairs of fields to add
Answers {'OK'}, {'GONE'} when the event left the stream, {'LOST'} or {'FULL'}
]]
${streamIdLua}
local f = redis.call('HMGET', KEYS[2], 'token', 'released', 'position', 'dead')
if f[1] ~= ARGV[1] or f[2] == '1' then return {'LOST'} end
local kept = {}
for id in (f[4] or ''):gmatch('[^,]+') do
  if id == ARGV[2] then return {'OK'} end
  if id_before(f[3], id) then kept[#kept + 1] = id end
end
local entries = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if entries[1] then
  if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[3]) then return {'FULL'} end
  local entry = entries[1][2]
  for i = 4, #ARGV do entry[#entry + 1] = ARGV[i] end
  redis.call('XADD', KEYS[3], '*', unpack(entry))
end
kept[#kept + 1] = ARGV[2]
redis.call('HSET', KEYS[2], 'dead', table.concat(kept, ','))
return {entries[1] and 'OK' or 'GONE'}
`,
)

export interface DeadLetterRequest {
  readonly name: string
  readonly token: string
  readonly id: string
  readonly reason: DeadLetterReason
  readonly attempts: number
  readonly error: string
  readonly cap: number
}

/** `full` and `lost` moved nothing. */
export type DeadLetterOutcome = 'full' | 'gone' | 'lost' | 'ok'

export async function moveToDeadLetters(
  session: Session,
  keys: StreamKeys,
  request: DeadLetterRequest,
): Promise<DeadLetterOutcome> {
  const reply = (await evaluate(
    session,
    deadLetterScript,
    [keys.stream, keys.state(request.name), keys.dead(request.name)],
    [
      request.token,
      request.id,
      request.cap,
      deadLetterFields.id,
      request.id,
      deadLetterFields.reason,
      request.reason,
      deadLetterFields.attempts,
      request.attempts,
      deadLetterFields.error,
      request.error.slice(0, LONGEST_ERROR),
    ],
  )) as string[]
  return (reply[0] ?? 'LOST').toLowerCase() as DeadLetterOutcome
}
