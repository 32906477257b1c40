import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import type { StreamKeys } from '../stream/keys.ts'

/** The field of `:meta` with the namespace of the stream's blobs. */
export const NAMESPACE_FIELD = 'blobs'

const placeScript: Script = defineScript(
  'blob-place',
  `
--[[ Tells where the blobs of a stream belong and what time it is there: the server's time, or that of the
last event where somebody's clock was ahead. The first to ask names the namespace.
KEYS 1 stream, 2 meta
ARGV 1 namespace for a stream that has none
Answers {namespace, time in ms}
]]
local namespace = redis.call('HGET', KEYS[2], '${NAMESPACE_FIELD}')
if not namespace then
  namespace = ARGV[1]
  redis.call('HSET', KEYS[2], '${NAMESPACE_FIELD}', namespace)
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then now = math.max(now, tonumber(info[i + 1]:match('^%d+'))) end
  end
end
return {namespace, string.format('%.0f', now)}
`,
)

export interface BlobPlace {
  readonly namespace: string
  /** By the server's clock; no event that is published from now on has an earlier time in its id. */
  readonly nowMs: number
}

export async function blobPlace(
  session: Session,
  keys: StreamKeys,
  candidate: string,
): Promise<BlobPlace> {
  const reply = (await evaluate(session, placeScript, [keys.stream, keys.meta], [candidate])) as [
    unknown,
    unknown,
  ]
  return { namespace: String(reply[0]), nowMs: Number(reply[1]) }
}
