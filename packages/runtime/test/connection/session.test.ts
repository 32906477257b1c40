import { startFaultProxy, startRedis, waitFor } from '@millrace/testkit'
import { describe, expect, it, vi } from 'vitest'
import { troubleOf } from '../../src/connection/redis-errors.ts'
import { openSession, type Session } from '../../src/connection/session.ts'

describe('a session', () => {
  it('executes a command whose reply was lost only once', async () => {
    await using redis = await startRedis()
    await using proxy = await startFaultProxy(redis)
    const session = await open(proxy)
    const lost = proxy.dropNextReply((command) => command[0]?.toLowerCase() === 'xadd')
    await expect(session.client.xadd('k', '*', 'n', '1')).rejects.toSatisfy(
      (error) => troubleOf(error) === 'disconnected',
    )
    await lost
    await waitFor(() => session.signal.aborted, { describe: 'the end of the session' })
    expect(await redis.client().xlen('k')).toBe(1)
  })

  it('rejects what is outstanding when the connection ends', async () => {
    await using redis = await startRedis()
    await using proxy = await startFaultProxy(redis)
    const session = await open(proxy, 2_000)
    const outstanding = session.client.call('xread', 'BLOCK', 2_000, 'STREAMS', 'k', '$')
    proxy.resetAll()
    await expect(outstanding).rejects.toSatisfy((error) => troubleOf(error) === 'disconnected')
    await waitFor(() => session.signal.aborted, { describe: 'the end of the session' })
  })

  it('gives up a connection that is black-holed', async () => {
    await using redis = await startRedis()
    await using proxy = await startFaultProxy(redis)
    const session = await open(proxy, 100)
    proxy.blackhole('both')
    await expect(session.client.call('xread', 'BLOCK', 100, 'STREAMS', 'k', '$')).rejects.toSatisfy(
      (error) => troubleOf(error) === 'disconnected',
    )
    await waitFor(() => session.signal.aborted, { describe: 'the end of the session' })
  })

  it('refuses at once a server that does not know HELLO, as those before 6.2', async () => {
    await using redis = await startRedis({ args: ['--rename-command', 'HELLO', ''] })
    await expect(open(redis)).rejects.toMatchObject({
      code: 'SERVER_UNSUPPORTED',
      message: expect.stringContaining('Millrace needs Redis 7.0') as string,
    })
  })

  it('starts no timer when it is ended again', async () => {
    await using redis = await startRedis()
    const session = await open(redis)
    session.end('once')
    await waitFor(() => session.signal.aborted, { describe: 'the end of the session' })
    const timers = vi.spyOn(globalThis, 'setTimeout')
    session.end('twice')
    expect(timers).not.toHaveBeenCalled()
    timers.mockRestore()
  })
})

function open(server: { host: string; port: number }, blockMs?: number): Promise<Session> {
  return openSession({
    purpose: blockMs === undefined ? 'data' : 'tail',
    node: { host: server.host, port: server.port },
    clientName: 'test',
    connectTimeoutMs: 5_000,
    ...(blockMs === undefined ? {} : { blockMs }),
  })
}
