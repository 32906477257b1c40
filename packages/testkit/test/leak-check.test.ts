import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectNoLeaks, type RedisServer, startRedis, waitFor } from '../src/index.ts'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

test('a server that only the testkit is connected to has no leaks', async () => {
  await server.client().ping()
  await expect(expectNoLeaks(server)).resolves.toBeUndefined()
})

test('a connection that was left open is named with what it did last', async () => {
  const leaking = new Redis({ host: server.host, port: server.port, connectionName: 'forgotten' })
  try {
    await leaking.xlen('events')
    await expect(expectNoLeaks(server, { closingMs: 200 })).rejects.toThrow(
      /1 connections were left open[^]*forgotten from 127\.0\.0\.1:\d+, last command xlen/,
    )
  } finally {
    leaking.disconnect()
  }
  await expect(expectNoLeaks(server)).resolves.toBeUndefined()
})

test('connections between servers are no leaks', async () => {
  await using replica = await startRedis({
    args: ['--replicaof', server.host, String(server.port)],
  })
  await waitFor(
    async () => (await replica.client().info('replication')).includes('master_link_status:up'),
    {
      describe: 'the replica to be in sync',
    },
  )
  await expect(expectNoLeaks(server)).resolves.toBeUndefined()
  await expect(expectNoLeaks(replica)).resolves.toBeUndefined()
})
