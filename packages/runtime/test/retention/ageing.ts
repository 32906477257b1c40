import type { Redis } from 'ioredis'

/** Makes what the state of a group remembers of revoked members an hour older. */
export async function anHourLater(redis: Redis, state: string): Promise<void> {
  const aged = Object.entries(await redis.hgetall(state)).flatMap(([field, text]) => {
    const [token, second, lease, standing, detail] = text.split('|')
    if (standing !== 'revoked') return []
    return [field, [token, Number(second) - 3_601, lease, standing, detail].join('|')]
  })
  if (aged.length > 0) await redis.hset(state, ...aged)
}
