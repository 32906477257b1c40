import type { Session } from '../connection/session.ts'
import { troubleOf } from '../connection/redis-errors.ts'
import type { ResolvedDurability } from '../producer/durability/options.ts'
import { durabilityCommands } from './durability.ts'
import { infoFields, pairFields, type ServerFacts } from './facts.ts'
import { refusedCommands } from './rights.ts'

/** The settings that are looked at. */
const SETTINGS: readonly string[] = [
  'appendfsync',
  'client-output-buffer-limit',
  'min-replicas-to-write',
  'save',
  'tcp-keepalive',
  'timeout',
]
/** The quickest of so many answers tells the clock best. */
const CLOCK_LOOKS = 5

/** Asks a server for everything that the doctor looks at. It writes nothing. */
export async function examine(
  session: Session,
  key: string,
  durability: ResolvedDurability | undefined,
  now: () => { readonly wallMs: number; readonly monotonicMs: number },
): Promise<ServerFacts> {
  const ask = (...words: readonly string[]): Promise<unknown> =>
    session.client.call(...(words as [string, ...string[]]))
  const info = await ifAllowed(ask('info', 'everything'))
  const fields = info === undefined ? undefined : infoFields(info as string)
  const config = await ifAllowed(ask('config', 'get', ...SETTINGS))
  const others = durabilityCommands(durability, session.server)
  const isCluster = fields?.get('cluster_enabled') === '1'
  const cluster = isCluster ? await ifAllowed(ask('cluster', 'info')) : undefined
  return {
    ...session.server,
    info: fields,
    config: config === undefined ? undefined : pairFields(config),
    cluster: cluster === undefined ? undefined : infoFields(cluster as string),
    clock: await clockOf(() => ask('time'), now),
    durability,
    refused: (await ifAllowed(refusedCommands(session, key, others))) ?? [
      `eval with keys like ${key}`,
    ],
  }
}

/** Undefined when the user may not ask, or the server does not know the question. */
async function ifAllowed<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (HIDDEN.has(troubleOf(error))) return undefined
    throw error
  }
}

const HIDDEN: ReadonlySet<string> = new Set(['no-permission', 'other', 'unsupported'])

async function clockOf(
  time: () => Promise<unknown>,
  now: () => { readonly wallMs: number; readonly monotonicMs: number },
): Promise<ServerFacts['clock']> {
  let best: ServerFacts['clock'] = { aheadMs: 0, uncertainMs: Number.POSITIVE_INFINITY }
  for (let look = 0; look < CLOCK_LOOKS; look++) {
    const sent = now()
    const reply = await ifAllowed(time())
    if (!Array.isArray(reply)) return best
    const halfMs = (now().monotonicMs - sent.monotonicMs) / 2
    const serverMs = Number(reply[0]) * 1_000 + Number(reply[1]) / 1_000
    if (halfMs < best.uncertainMs) {
      best = { aheadMs: serverMs - (sent.wallMs + halfMs), uncertainMs: halfMs }
    }
  }
  return best
}
