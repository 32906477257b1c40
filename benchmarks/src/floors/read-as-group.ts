import type { Redis } from 'ioredis'
import type { FlightEvent } from '../load/flight-event.ts'

const COUNT = 500

type Reply = [key: string, entries: [id: string, fields: string[]][]][] | null

/**
 * The floor of consuming: a hand-written loop of XREADGROUP COUNT 500, JSON.parse, the handler, and one
 * XACK for the batch, until nothing is left. It has no lease, no retry, no validation, and no bound on what
 * a read brings.
 */
export async function readAsGroup(
  redis: Redis,
  key: string,
  group: string,
  see: (sequence: number) => void,
): Promise<void> {
  await redis.xgroup('CREATE', key, group, '0')
  for (;;) {
    const reply = (await redis.xreadgroup(
      'GROUP',
      group,
      'one',
      'COUNT',
      COUNT,
      'STREAMS',
      key,
      '>',
    )) as Reply
    const entries = reply?.[0]?.[1] ?? []
    if (entries.length === 0) return
    for (const [, fields] of entries) see((JSON.parse(fields[1] ?? '') as FlightEvent).sequence)
    await redis.xack(key, group, ...entries.map(([id]) => id))
  }
}
