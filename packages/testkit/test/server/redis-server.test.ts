import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { redisBinary, startRedis, waitFor } from '../../src/index.ts'
import { isRunning, isStopped } from '../processes.ts'

test('a private server answers on its own port and is gone after disposal', async () => {
  const server = await startRedis()
  expect(await server.client().ping()).toBe('PONG')
  expect(server.url).toBe(`redis://127.0.0.1:${server.port}`)
  const { pid, dir } = server
  await server[Symbol.asyncDispose]()
  expect(isRunning(pid)).toBe(false)
  expect(existsSync(dir)).toBe(false)
})

test('servers started at the same time get ports of their own', async () => {
  const servers = await Promise.all(Array.from({ length: 8 }, () => startRedis()))
  try {
    expect(new Set(servers.map((server) => server.port)).size).toBe(8)
    const pids = await Promise.all(
      servers.map(
        async (server) => /process_id:(\d+)/.exec(await server.client().info('server'))?.[1],
      ),
    )
    expect(pids).toEqual(servers.map((server) => String(server.pid)))
  } finally {
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
  }
})

test('with persistence every acknowledged write survives SIGKILL and a restart on the same port', async () => {
  await using server = await startRedis({ persistence: true })
  const { port } = server
  for (let n = 1; n <= 50; n += 1) await server.client().xadd('events', '*', 'n', n)
  await server.kill('SIGKILL')
  await server.restart()
  expect(server.port).toBe(port)
  expect(await server.client().xlen('events')).toBe(50)
})

test('without persistence a restarted server is empty', async () => {
  await using server = await startRedis()
  await server.client().set('key', 'value')
  await server.restart()
  expect(await server.client().exists('key')).toBe(0)
})

test('a server that is stopped by a signal goes on where it was', async () => {
  await using server = await startRedis()
  await server.client().set('key', 'value')
  await server.kill('SIGSTOP')
  await waitFor(() => isStopped(server.pid), { describe: 'the process to stand still' })
  const reading = server.client().get('key')
  await server.kill('SIGCONT')
  expect(await reading).toBe('value')
})

test('an orderly stop ends a server that is stopped by a signal, too', async () => {
  await using server = await startRedis()
  const { pid } = server
  await server.kill('SIGSTOP')
  await server.stop()
  expect(isRunning(pid)).toBe(false)
})

test('debug commands are allowed, so that tests can make the server stall or reload', async () => {
  await using server = await startRedis()
  expect(await server.client().call('DEBUG', 'RELOAD')).toBe('OK')
})

test('a folder that was given is used and left alone', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-given-'))
  try {
    const server = await startRedis({ dir, persistence: true })
    await server.client().set('key', 'value')
    await server[Symbol.asyncDispose]()
    await using again = await startRedis({ dir, persistence: true })
    expect(await again.client().get('key')).toBe('value')
  } finally {
    await rm(dir, { recursive: true })
  }
})

test('a fixed port that is taken is reported with what the server said', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const holder = createServer().listen(0, '127.0.0.1', resolve)
  await promise
  const address = holder.address()
  const port = typeof address === 'object' && address ? address.port : 0
  try {
    await expect(startRedis({ port })).rejects.toThrow(
      /ended before it was ready[^]*address already in use/i,
    )
  } finally {
    holder.close()
  }
})

test('a wrong argument is reported with what the server said', async () => {
  await expect(startRedis({ args: ['--no-such-option', 'x'] })).rejects.toThrow(/no-such-option/)
})

test('a binary is found by product and by the start of its version', async () => {
  const found = await redisBinary()
  if (!found) throw new Error('these tests need redis-server or valkey-server on PATH')
  const major = found.version.split('.', 1)[0] ?? ''
  expect(await redisBinary({ product: found.product, version: major })).toEqual(found)
  expect(await redisBinary({ product: found.product, version: '0' })).toBeUndefined()
})
