import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Core, StreamLike } from '../core.ts'
import { incarnationLua, newIncarnation } from '../stream/incarnation.ts'

const createScript: Script = defineScript(
  'admin-create',
  `
--[[ Creates an empty stream, or makes one that somebody else has created one of Millrace's.
KEYS 1 stream, 2 meta
ARGV 1 incarnation for a new stream, 2 tag
Answers {'1' if the stream was created, incarnation}
]]
${incarnationLua}
local exists = redis.call('EXISTS', KEYS[1]) == 1
local incarnation = incarnation_of(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if not exists then
  redis.call('XGROUP', 'CREATE', KEYS[1], 'millrace', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', KEYS[1], 'millrace')
end
return {exists and '' or '1', incarnation}
`,
)

export interface CreateReport {
  /** Whether it was created now; otherwise it was there. */
  readonly created: boolean
  /** What tells this stream from others of its name, before and after. */
  readonly incarnation: string
}

/** @throws MillraceError `STREAM_MISMATCH`, `KEY_TYPE` */
export async function createStream(
  core: Core,
  stream: StreamLike,
  signal: AbortSignal | undefined,
): Promise<CreateReport> {
  const keys = core.keysOf(stream)
  await core.verify(stream, signal)
  // The same one when the answer is lost and the script sent again.
  const candidate = newIncarnation()
  let sent = 0
  const reply = (await core.connections.call(
    'data',
    keys.tag,
    (session) => {
      sent++
      return evaluate(session, createScript, [keys.stream, keys.meta], [candidate, keys.tag])
    },
    { signal },
  )) as [unknown, unknown]
  const incarnation = String(reply[1])
  const again = sent > 1 && incarnation === candidate
  return { created: reply[0] === '1' || again, incarnation }
}
