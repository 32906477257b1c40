import { startRedis } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { Connections } from '../../src/connection/connections.ts'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { systemClock } from '../../src/lifecycle/clock.ts'

describe('a call', () => {
  it('waits for Redis up to the deadline, then says UNAVAILABLE', async () => {
    await using redis = await startRedis()
    const connections = open(redis.url, 300)
    await redis.kill('SIGKILL')
    await expect(ping(connections)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    const waiting = ping(connections, 20_000)
    await redis.restart()
    expect(await waiting).toBe('PONG')
    connections.close()
  })

  it('reports at once what waiting does not mend', async () => {
    await using redis = await startRedis()
    const connections = open(redis.url, 60_000)
    await expect(
      connections.call('data', 'any', (session) => session.client.call('nonsense')),
    ).rejects.toMatchObject({ code: 'SERVER_UNSUPPORTED', retryable: false })
    connections.close()
  })

  it('is over when everything is closed', async () => {
    await using redis = await startRedis()
    const connections = open(redis.url, 60_000)
    await redis.kill('SIGKILL')
    const waiting = ping(connections)
    connections.close()
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

function open(url: string, deadlineMs: number): Connections {
  return new Connections(resolveConnectOptions(url, { deadlineMs }), systemClock)
}

function ping(connections: Connections, deadlineMs?: number): Promise<unknown> {
  return connections.call('data', 'any', (session) => session.client.call('ping'), { deadlineMs })
}
