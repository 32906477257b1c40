import type { Redis } from 'ioredis'

/** How many entries a consumer group on a Redis Stream holds that it has not acknowledged. */
export async function pendingOf(redis: Redis, key: string, group: string): Promise<number> {
  const [pending] = await redis.xpending(key, group)
  return Number(pending)
}
