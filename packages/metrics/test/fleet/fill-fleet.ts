import type { Redis } from 'ioredis'

export interface FleetSize {
  readonly streams: number
  readonly groups: number
  readonly events: number
}

/**
 * Many streams as they look when Millrace uses them: figures and states by their wire format, groups that
 * have caught up, that are in the middle, that were trimmed past, and with pending events.
 */
export async function fillFleet(
  redis: Redis,
  { streams, groups, events }: FleetSize,
): Promise<void> {
  for (let s = 0; s < streams; s++) {
    const key = `mr:{stream-${s}}stream-${s}`
    const work = redis.pipeline()
    for (let n = 0; n < events; n++)
      work.xadd(key, '*', 'data', JSON.stringify({ n, s }), 'key', `k${n}`)
    work.hset(`${key}:meta`, {
      incarnation: 'abcdefghijkl',
      format: '1',
      partitions: '1',
      tag: `stream-${s}`,
      retention: '86400000,0,0,expire',
    })
    for (let g = 0; g < groups; g++) {
      const name = `reader-${g}`
      const isGroup = g % 2 === 1
      work.hset(`${key}:meta`, `name:${name}`, isGroup ? 'group' : 'consumer')
      work.xgroup('CREATE', key, name, '0')
      // A share of them is in the middle, each somewhere else.
      const read = g === 0 ? events : Math.floor((events * (g + (s % 7))) / (groups + 7))
      if (read > 0) {
        const noAck = isGroup ? [] : (['NOACK'] as const)
        work.call(
          'xreadgroup',
          'GROUP',
          name,
          `m:${g}`,
          'COUNT',
          read,
          ...noAck,
          'STREAMS',
          key,
          '>',
        )
      }
      work.hset(
        `${key}:state:${name}`,
        isGroup
          ? { kind: 'group', expired: '0', [`member:m:${g}`]: `1-ff|${s}|4000|live|host` }
          : { kind: 'consumer', token: '1-ff', beat: String(s), leaseMs: '4000', released: '0' },
      )
    }
    if (s % 3 === 0) work.xtrim(key, 'MAXLEN', Math.floor(events / 2))
    if (s % 11 === 0) work.xadd(`${key}:dead:reader-1`, '*', 'data', '{}', 'dead:id', '1-0')
    await work.exec()
  }
}

/** How many commands the server has run since it began, those inside of scripts included. */
export async function commandsRun(redis: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))?.[1])
}
