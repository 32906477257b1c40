import type { Redis } from 'ioredis'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { evaluate } from '../../src/connection/script.ts'
import { type Core, createCore } from '../../src/core.ts'
import { appendScript } from '../../src/producer/append-script.ts'
import { closeEpochScript } from '../../src/producer/close-epoch-script.ts'
import type { StreamKeys } from '../../src/stream/keys.ts'

/** What a producer needs, against a real server; the connections end with it. */
export function openRig(url: string, deadlineMs = 10_000): { core: Core } & Disposable {
  const core = createCore(resolveConnectOptions(url, { deadlineMs }))
  return {
    core,
    [Symbol.dispose]() {
      core.connections.close()
    },
  }
}

/** All entries of a stream: id and fields as an object. */
export async function entriesOf(
  redis: Redis,
  key: string,
): Promise<{ id: string; fields: Record<string, string> }[]> {
  const entries: { id: string; fields: Record<string, string> }[] = []
  for (let from = '-'; ; ) {
    const page = await redis.xrange(key, from, '+', 'COUNT', 10_000)
    for (const [id, pairs] of page) {
      const fields: Record<string, string> = {}
      for (let i = 0; i + 1 < pairs.length; i += 2) fields[String(pairs[i])] = String(pairs[i + 1])
      entries.push({ id, fields })
    }
    const last = page.at(-1)
    if (page.length < 10_000 || last === undefined) return entries
    from = `(${last[0]}`
  }
}

/** The payloads of a stream, decoded. */
export async function payloadsOf(redis: Redis, key: string): Promise<unknown[]> {
  const entries = await entriesOf(redis, key)
  return entries.map(({ fields }) => JSON.parse(fields['data'] ?? 'null') as unknown)
}

/** Numbers from 0 on, as payloads. */
export function numbers(count: number): { n: number }[] {
  return Array.from({ length: count }, (_, n) => ({ n }))
}

/** Calls the append script by itself, with events that have only data. */
export async function callAppend(
  core: Core,
  keys: StreamKeys,
  batch: {
    readonly record?: string
    readonly first: number
    readonly answered?: number
    readonly maxAgeMs?: number
    readonly maxLength?: number
    readonly data: readonly string[]
    readonly idempotencyKeys?: readonly string[]
  },
): Promise<string> {
  const session = await core.connections.session('data', keys.tag)
  const keyed = batch.idempotencyKeys !== undefined
  const values = batch.data.flatMap((data, i) =>
    keyed ? [batch.idempotencyKeys?.[i] ?? '', data] : [data],
  )
  const reply = await evaluate(
    session,
    appendScript,
    [keys.stream, keys.meta, keys.producers, ...keys.idempotency],
    [
      batch.record ?? 'p:e',
      batch.first,
      batch.data.length,
      batch.answered ?? 0,
      'candidate',
      keys.tag,
      batch.maxAgeMs ?? 0,
      batch.maxLength ?? 0,
      batch.data.length,
      1,
      keyed ? 1 : 0,
      'data',
      ...values,
    ],
  )
  return String(reply)
}

export async function callCloseEpoch(
  core: Core,
  keys: StreamKeys,
  record = 'p:e',
): Promise<string[]> {
  const session = await core.connections.session('data', keys.tag)
  return (await evaluate(session, closeEpochScript, [keys.producers], [record])) as string[]
}
