import { Redis } from 'ioredis'

/** Removes what a run has left in a Redis that is not its own. */
export async function removeKeys(redisUrl: string, prefix: string): Promise<void> {
  const redis = new Redis(redisUrl, { lazyConnect: true, maxRetriesPerRequest: 1 })
  // A failure reaches the caller through the command that met it.
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1_000 })) {
      const found = keys as string[]
      if (found.length > 0) await redis.unlink(...found)
    }
  } finally {
    redis.disconnect()
  }
}
