import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import { type Fence, fenceOf } from '../lease/token.ts'

/**
 * Lua for scripts that only the elected may run: the lease's key is among their KEYS, the token among
 * their ARGV.
 */
export const leaseLua: string = `
local function holds_lease(lease, token)
  local f = redis.call('HMGET', lease, 'token', 'released')
  return f[1] == token and f[2] ~= '1'
end
`

const acquireScript: Script = defineScript(
  'election-acquire',
  `#!lua flags=allow-oom
--[[ Takes a lease that is free, released, or whose holder is the one that is expected; otherwise says
who holds it. Asked again with the same nonce it answers the same.
KEYS 1 lease
ARGV 1 nonce, 2 holder, 3 lease in ms, 4 expected token or '', 5 expected beat
Answers {'HELD', token, beat, lease in ms, holder} or {'ACQUIRED', counter}
]]
local f = redis.call('HMGET', KEYS[1], 'token', 'beat', 'leaseMs', 'holder', 'released', 'counter')
local counter = tonumber(f[6] or '0') or 0
if f[1] == counter .. '-' .. ARGV[1] and f[5] ~= '1' then return {'ACQUIRED', counter} end
if f[1] and f[5] ~= '1' and (f[1] ~= ARGV[4] or f[2] ~= ARGV[5]) then
  return {'HELD', f[1], f[2], f[3], f[4]}
end
counter = counter + 1
redis.call('HSET', KEYS[1], 'token', counter .. '-' .. ARGV[1], 'counter', counter, 'beat', '0',
  'leaseMs', ARGV[3], 'holder', ARGV[2], 'released', '0')
return {'ACQUIRED', counter}
`,
)

const beatScript: Script = defineScript(
  'election-beat',
  `#!lua flags=allow-oom
--[[ Raises the holder's beat.
KEYS 1 lease
ARGV 1 token
Answers 1, or 0 when the lease is not the caller's any more
]]
${leaseLua}
if not holds_lease(KEYS[1], ARGV[1]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'beat', 1)
return 1
`,
)

const releaseScript: Script = defineScript(
  'election-release',
  `#!lua flags=allow-oom
--[[ Gives the lease back, if it is still the caller's.
KEYS 1 lease
ARGV 1 token
Answers 1, or 0 when it was not
]]
${leaseLua}
if not holds_lease(KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'released', '1')
return 1
`,
)

export interface CandidateRequest {
  readonly nonce: string
  readonly holder: string
  readonly leaseMs: number
  /** Take the lease from this holder, if it has not beaten since. */
  readonly expected?: { readonly token: string; readonly beat: number } | undefined
}

export type CandidateAnswer =
  | { readonly held: false; readonly fence: Fence }
  | {
      readonly held: true
      readonly token: string
      readonly beat: number
      readonly leaseMs: number
      readonly holder: string
    }

export async function acquireLease(
  session: Session,
  key: string,
  request: CandidateRequest,
): Promise<CandidateAnswer> {
  const { nonce, holder, leaseMs, expected } = request
  const args = [nonce, holder, leaseMs, expected?.token ?? '', expected?.beat ?? '']
  const reply = (await evaluate(session, acquireScript, [key], args)) as (string | number)[]
  if (reply[0] === 'ACQUIRED') return { held: false, fence: fenceOf(Number(reply[1]), nonce) }
  return {
    held: true,
    token: String(reply[1]),
    beat: Number(reply[2]),
    leaseMs: Number(reply[3]),
    holder: String(reply[4] ?? ''),
  }
}

export async function beatLease(session: Session, key: string, token: string): Promise<boolean> {
  return (await evaluate(session, beatScript, [key], [token])) === 1
}

export async function releaseLease(session: Session, key: string, token: string): Promise<void> {
  await evaluate(session, releaseScript, [key], [token])
}
