import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectNoLeaks, type SentinelSet, startSentinel, waitFor } from '../../src/index.ts'
import { isRunning } from '../processes.ts'

let set: SentinelSet
let client: Redis

beforeAll(async () => {
  set = await startSentinel()
  client = new Redis({
    sentinels: [...set.sentinels],
    name: set.name,
    sentinelRetryStrategy: () => 20,
  })
  client.on('error', () => {})
})

afterAll(async () => {
  const pids = [...set.servers, ...set.sentinelServers].map((server) => server.pid)
  client.disconnect()
  for (const server of set.servers.filter((one) => one.running)) await expectNoLeaks(server)
  await set[Symbol.asyncDispose]()
  await waitFor(() => !pids.some(isRunning), {
    describe: `the processes ${pids.join(', ')} to be gone`,
  })
})

test('a new set names its master, and clients find it', async () => {
  expect(await set.master()).toEqual({ host: set.servers[0]?.host, port: set.servers[0]?.port })
  expect(await client.set('key', 'value')).toBe('OK')
  expect(await set.servers[0]?.client().get('key')).toBe('value')
})

test('an orderly failover makes another server the master', async () => {
  const old = await set.masterServer()
  const next = await set.failover()
  expect(next.port).not.toBe(old.port)
  expect(await set.master()).toEqual(next)
  // The next failure finds a replica in sync; the old master itself follows only ten seconds later.
  await waitFor(
    async () =>
      /slave0:[^]*state=online/.test(await (await set.masterServer()).client().info('replication')),
    {
      describe: 'a replica to follow the new master',
    },
  )
})

test('a killed master is replaced', async () => {
  const old = await set.masterServer()
  await old.kill('SIGKILL')
  const next = await set.promoted(old)
  expect(next.port).not.toBe(old.port)
  await waitFor(() => client.set('after', 'failover'), {
    describe: 'the client to reach the new master',
  })
  expect(await (await set.masterServer()).client().get('after')).toBe('failover')
})
