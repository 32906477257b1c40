/**
 * Makes sure that tests and demo can have a Redis here, installing the system's package where that needs
 * no question. Run it: `node --conditions=millrace-source packages/testkit/src/ensure-redis.ts`.
 */
import { ensureRedis, type RedisAvailability } from './provision/ensure.ts'

try {
  console.log(
    sentence(
      await ensureRedis({
        url: process.env['REDIS_URL'],
        log: (line) => console.log(`redis: ${line}`),
      }),
    ),
  )
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}

function sentence(available: RedisAvailability): string {
  switch (available.source) {
    case 'given':
      return 'redis: using the server that REDIS_URL names'
    case 'binary':
      return `redis: using ${available.binary.product}-server ${available.binary.version}`
    case 'container':
      return 'redis: using containers, a Docker daemon answers'
  }
}
