import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '@millrace/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, defineStream } from '../../src/index.ts'

const stream = defineStream<{ n: number }>('secure')
let dir = ''

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem'), '-days', '1'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ],
    { stdio: 'ignore' },
  )
})

afterAll(() => {
  rmSync(dir, { recursive: true, force: true })
})

test('publishes and consumes over TLS with a private authority', async () => {
  await using redis = await startTls()
  const ca = readFileSync(join(dir, 'cert.pem'))
  await using millrace = await connect(redis.url, { tls: { ca } })
  await millrace.publish(stream, { n: 1 })
  const { promise, resolve } = Promise.withResolvers<number>()
  millrace.consumer(stream, { name: 'secured' }).start(({ data }) => {
    resolve(data.n)
  })
  expect(await promise).toBe(1)
})

test('refuses a server whose certificate it cannot check', async () => {
  await using redis = await startTls()
  await expect(connect(redis.url, { deadlineMs: 1_500 })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/certificate/) as string,
  })
})

async function startTls(): Promise<{ url: string; [Symbol.asyncDispose](): Promise<void> }> {
  const port = await freePort()
  const files = ['--tls-cert-file', join(dir, 'cert.pem'), '--tls-key-file', join(dir, 'key.pem')]
  const redis = await startRedis({
    args: ['--tls-port', String(port), '--tls-auth-clients', 'no', ...files],
  })
  return {
    url: `rediss://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await redis[Symbol.asyncDispose]()
    },
  }
}

function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer().on('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    server.close(() => {
      if (typeof address === 'object' && address !== null) resolve(address.port)
      else reject(new Error('no port'))
    })
  })
  return promise
}
