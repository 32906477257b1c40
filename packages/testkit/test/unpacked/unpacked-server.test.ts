import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ensureUnpackedServer, startRedis } from '../../src/index.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
/** Unpacking downloads some 20 MB the first time. */
const timeout = 300_000

test.for([
  { product: 'valkey', suite: 'forky', version: '9.1' },
  { product: 'redis', suite: 'trixie', version: '8.0' },
] as const)(
  '$product $version is unpacked from Debian $suite and runs',
  { timeout },
  async (wanted, { skip }) => {
    const { product, suite, version } = wanted
    const { binary, reason } = await ensureUnpackedServer({ product, suite, root })
    if (!binary) return skip(reason)
    expect(binary.product).toBe(product)
    expect(binary.version.startsWith(`${version}.`)).toBe(true)

    await using server = await startRedis({ binary, persistence: true })
    await server.client().xadd('events', '*', 'n', '1')
    await server.restart()
    expect(await server.client().xlen('events')).toBe(1)
    const info = await server.client().info('server')
    const shown = product === 'valkey' ? 'valkey_version' : 'redis_version'
    expect(info).toContain(`${shown}:${binary.version}`)

    // Once unpacked, it is only looked at.
    expect(await ensureUnpackedServer({ product, suite, root })).toEqual({ binary })
  },
)
