import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { dockerAnswers, startRedisContainer } from '../../src/index.ts'

const docker = await dockerAnswers()
/** For machines that have images of their own and no registry within reach. */
const image = process.env['MILLRACE_TEST_REDIS_IMAGE']

test.skipIf(!docker)(
  'a server in a container answers, and is removed at the end',
  { timeout: 300_000 },
  async () => {
    const container = await startRedisContainer(image === undefined ? {} : { image })
    const redis = new Redis(container.url, { retryStrategy: () => null })
    redis.on('error', () => {})
    try {
      expect(await redis.set('key', 'value')).toBe('OK')
    } finally {
      redis.disconnect()
      await container[Symbol.asyncDispose]()
    }
    const after = new Redis(container.url, { lazyConnect: true, retryStrategy: () => null })
    after.on('error', () => {})
    await expect(after.connect()).rejects.toThrow('Connection is closed')
  },
)
