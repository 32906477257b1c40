import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import { type DeadLetterReason, LONGEST_ERROR } from '../delivery/dead-letter-fields.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { letterAgainLua } from './letter-again-lua.ts'
import { type StoredEntry, storedEntries } from './dead-letter.ts'

/** The field of a consumer's state that holds the attempts of one redriven entry. */
const ATTEMPTS_FIELD = 'redrive:'

const settleScript: Script = defineScript(
  'consumer-redrive-settle',
  `#!lua flags=allow-oom
--[[ Removes redriven events that are processed. Repeating it changes nothing more. Whoever holds the
lease has its token in the state; a lease that was released and that nobody took is still the caller's.
KEYS 1 state, 2 redrive
ARGV 1 token, then ids on the redrive stream
Answers 1, or 0 when the lease is another one's
]]
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
for i = 2, #ARGV do
  redis.call('XDEL', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[1], '${ATTEMPTS_FIELD}' .. ARGV[i])
end
return 1
`,
)

const attemptsScript: Script = defineScript(
  'consumer-redrive-attempts',
  `#!lua flags=allow-oom
--[[ Stores how often a redriven event was tried.
KEYS 1 state, 2 redrive
ARGV 1 token, 2 id on the redrive stream, 3 attempts
Answers 1, or 0 when the lease is another one's
]]
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
if #redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2]) > 0 then
  redis.call('HSET', KEYS[1], '${ATTEMPTS_FIELD}' .. ARGV[2], ARGV[3])
end
return 1
`,
)

const returnScript: Script = defineScript(
  'consumer-redrive-return',
  `#!lua flags=allow-oom
--[[ Moves a redriven event that failed for good back to the dead letters, in one step.
Repeating it changes nothing more: the event is then no longer on the redrive stream.
KEYS 1 state, 2 redrive, 3 dead letters
ARGV 1 token, 2 id on the redrive stream, 3 reason, 4 attempts, 5 error, 6 cap
Answers {'OK'}, {'GONE'} when it is not on the redrive stream, {'LOST'} or {'FULL'}
]]
${letterAgainLua}
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return {'LOST'} end
local entry = redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2])[1]
if not entry then return {'GONE'} end
if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[6]) then
  -- Whoever makes room and starts the consumer again begins with fresh attempts.
  redis.call('HDEL', KEYS[1], '${ATTEMPTS_FIELD}' .. ARGV[2])
  return {'FULL'}
end
redis.call('XADD', KEYS[3], '*', unpack(letter_again(entry[2], ARGV[3], ARGV[4], ARGV[5])))
redis.call('XDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[1], '${ATTEMPTS_FIELD}' .. ARGV[2])
return {'OK'}
`,
)

/** Who asks: a holder of a consumer's lease. */
export interface Holder {
  readonly name: string
  readonly token: string
}

/** A redriven event that waits, and how often it was tried since it was redriven. */
export interface WaitingRedrive {
  readonly entry: StoredEntry
  readonly attempts: number
}

/** The first redriven events that wait. Only the holder of the lease takes any, so looking is enough. */
export async function waitingRedrives(
  session: Session,
  keys: StreamKeys,
  name: string,
  count: number,
): Promise<WaitingRedrive[]> {
  const page = storedEntries(
    await session.client.callBuffer('xrange', keys.redrive(name), '-', '+', 'COUNT', count),
  )
  if (page.length === 0) return []
  const fields = page.map(([id]) => `${ATTEMPTS_FIELD}${id}`)
  const attempts = (await session.client.call('hmget', keys.state(name), ...fields)) as unknown[]
  return page.map((entry, i) => ({ entry, attempts: Number(attempts[i] ?? 0) }))
}

/** The last redriven event that waits; undefined when there is none. */
export async function lastRedrive(
  session: Session,
  keys: StreamKeys,
  name: string,
): Promise<string | undefined> {
  const reply = await session.client.call('xrevrange', keys.redrive(name), '+', '-', 'COUNT', 1)
  return (reply as readonly (readonly [string, unknown])[])[0]?.[0]
}

/** Answers whether the lease is still the caller's. */
export async function settleRedrives(
  session: Session,
  keys: StreamKeys,
  holder: Holder,
  ids: readonly string[],
): Promise<boolean> {
  const reply = await evaluate(session, settleScript, stateAndRedrive(keys, holder), [
    holder.token,
    ...ids,
  ])
  return reply === 1
}

/** Answers whether the lease is still the caller's. */
export async function storeRedriveAttempts(
  session: Session,
  keys: StreamKeys,
  holder: Holder,
  id: string,
  attempts: number,
): Promise<boolean> {
  const reply = await evaluate(session, attemptsScript, stateAndRedrive(keys, holder), [
    holder.token,
    id,
    attempts,
  ])
  return reply === 1
}

export interface ReturnRequest {
  readonly id: string
  readonly reason: DeadLetterReason
  readonly attempts: number
  readonly error: string
  readonly cap: number
}

export async function returnRedrive(
  session: Session,
  keys: StreamKeys,
  holder: Holder,
  { id, reason, attempts, error, cap }: ReturnRequest,
): Promise<'full' | 'gone' | 'lost' | 'ok'> {
  const reply = (await evaluate(
    session,
    returnScript,
    [...stateAndRedrive(keys, holder), keys.dead(holder.name)],
    [holder.token, id, reason, attempts, error.slice(0, LONGEST_ERROR), cap],
  )) as string[]
  return (reply[0] ?? 'LOST').toLowerCase() as 'full' | 'gone' | 'lost' | 'ok'
}

function stateAndRedrive(keys: StreamKeys, { name }: Holder): string[] {
  return [keys.state(name), keys.redrive(name)]
}
