import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import type { StreamKeys } from '../stream/keys.ts'

const startScript: Script = defineScript(
  'consumer-start',
  `#!lua flags=allow-oom
--[[ Records in quarantine that an event is about to be started, so that an event which kills the
process is found by its starts.
KEYS 1 state
ARGV 1 token, 2 attempts as text, 3 events that are left in quarantine after this one
Answers 1, or 0 when the lease is another one's
]]
local f = redis.call('HMGET', KEYS[1], 'token', 'released')
if f[1] ~= ARGV[1] or f[2] == '1' then return 0 end
redis.call('HSET', KEYS[1], 'attempts', ARGV[2], 'quarantine', ARGV[3])
if ARGV[3] == '0' then redis.call('HSET', KEYS[1], 'deaths', '0', 'diedAt', '') end
return 1
`,
)

/** Answers whether the lease is still the caller's. */
export async function recordStart(
  session: Session,
  keys: StreamKeys,
  request: {
    readonly name: string
    readonly token: string
    readonly attempts: string
    readonly left: number
  },
): Promise<boolean> {
  const reply = await evaluate(
    session,
    startScript,
    [keys.state(request.name)],
    [request.token, request.attempts, request.left],
  )
  return reply === 1
}
