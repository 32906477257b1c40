import { expect, test, vi } from 'vitest'
import { startRedis, waitFor } from '@millrace/testkit'
import { openSession } from '../../src/connection/session.ts'

test('a session that has ended starts no timer when it is ended again', async () => {
  await using server = await startRedis()
  const { host, port } = server
  const session = await openSession({
    purpose: 'data',
    node: { host, port },
    clientName: 'test',
    connectTimeoutMs: 5_000,
  })
  session.end('once')
  await waitFor(() => session.signal.aborted, { describe: 'the end of the session' })
  const timers = vi.spyOn(globalThis, 'setTimeout')
  session.end('twice')
  expect(timers).not.toHaveBeenCalled()
  timers.mockRestore()
})
