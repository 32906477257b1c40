import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { provideRedis, redisBinary, startRedis } from '../../src/index.ts'
import { freePort } from '../../src/server/free-port.ts'
import { isRunning } from '../processes.ts'

test('without an address a private server from PATH is provided, and stopped at the end', async () => {
  const provided = await provideRedis()
  const binary = await redisBinary()
  expect(provided.source).toBe('binary')
  expect(provided.version).toMatch(new RegExp(`^(Redis|Valkey) ${binary?.version}$`))
  const redis = new Redis(provided.url)
  expect(await redis.ping()).toBe('PONG')
  redis.disconnect()
  await provided[Symbol.asyncDispose]()
  expect(isRunning(provided.pid ?? 0)).toBe(false)
})

test('a given server is used and left running', async () => {
  await using server = await startRedis()
  const provided = await provideRedis({ url: server.url })
  expect(provided).toMatchObject({ url: server.url, source: 'given' })
  expect(provided.pid).toBeUndefined()
  await provided[Symbol.asyncDispose]()
  expect(await server.client().ping()).toBe('PONG')
})

test('a given server that does not answer is reported with the reason and without the password', async () => {
  const port = await freePort()
  const providing = provideRedis({ url: `redis://user:secret@127.0.0.1:${port}/` })
  await expect(providing).rejects.toThrow(
    new RegExp(
      `^the Redis at redis://user:\\*\\*\\*@127\\.0\\.0\\.1:${port}/? does not answer: .*ECONNREFUSED`,
    ),
  )
})

test('provisioning ends with the reason of its signal', async () => {
  const signal = AbortSignal.abort(new Error('no longer wanted'))
  await expect(provideRedis({ signal })).rejects.toThrow('no longer wanted')
})
