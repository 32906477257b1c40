import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  expectNoLeaks,
  startCluster,
  startFaultProxy,
  startRedis,
  startSentinel,
  waitFor,
} from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { FleetExporter } from '../../src/fleet/fleet-exporter.ts'
import { serveFleet } from '../../src/fleet/serve-fleet.ts'

describe('The fleet exporter in front of', () => {
  it('a cluster reads the streams of all masters, also while a slot moves', {
    timeout: 90_000,
  }, async () => {
    await using cluster = await startCluster({ masters: 3, replicasPerMaster: 0 })
    const keys = Array.from({ length: 30 }, (_, i) => `mr:{stream-${i}}stream-${i}`)
    for (const [index, key] of keys.entries()) {
      const master = await cluster.masterOf(await cluster.slotOf(key))
      await master.client().xadd(key, '*', 'data', String(index))
      await master.client().xgroup('CREATE', key, 'g', '0')
    }
    const [seed = ''] = cluster.seeds
    await using exporter = new FleetExporter({ redis: { cluster: [seed] } })
    const first = await exporter.snapshot()
    expect(first.streams.map(({ key }) => key)).toEqual(keys.toSorted())
    expect(first.nodes).toHaveLength(3)
    expect(first.nodes.every(({ isUp }) => isUp)).toBe(true)
    expect(first.streams.every(({ groups }) => groups[0]?.lag.events === 1)).toBe(true)

    const [moving = ''] = keys
    const slot = await cluster.slotOf(moving)
    const from = await cluster.masterOf(slot)
    const to = cluster.nodes.find((node) => node.id !== from.id)
    if (to === undefined) throw new Error('there is only one node')
    await cluster.moveSlot(slot, to, {
      afterKeys: async () => {
        // Neither node gives it away; all others are still there.
        expect((await exporter.snapshot()).streams.length).toBeGreaterThanOrEqual(29)
      },
    })
    await waitFor(async () => (await exporter.snapshot()).streams.length === 30, {
      describe: 'the stream to be shown again',
    })
  })

  it('a cluster goes on with the others when one master does not answer', {
    timeout: 90_000,
  }, async () => {
    await using cluster = await startCluster({ masters: 3, replicasPerMaster: 0 })
    const key = 'mr:{a}a'
    const master = await cluster.masterOf(await cluster.slotOf(key))
    await master.client().xadd(key, '*', 'data', '1')
    await using exporter = new FleetExporter({
      redis: { cluster: cluster.seeds },
      deadlineMs: 1_500,
    })
    expect((await exporter.snapshot()).streams).toHaveLength(1)
    const other = cluster.nodes.find((node) => node.id !== master.id)
    await other?.kill('SIGSTOP')
    const { nodes, streams } = await exporter.snapshot()
    expect(nodes.filter(({ isUp }) => !isUp).map(({ name }) => name)).toEqual([
      `127.0.0.1:${other?.port}`,
    ])
    expect(streams.map((stream) => stream.key)).toEqual([key])
    expect(await exporter.readiness()).toMatchObject({ isReady: false })
    await other?.kill('SIGCONT')
    await waitFor(async () => (await exporter.readiness()).isReady, { describe: 'all nodes' })
  })

  it('sentinels follows the master', { timeout: 90_000 }, async () => {
    await using set = await startSentinel({ replicas: 1 })
    await using exporter = new FleetExporter({
      redis: {
        sentinels: set.sentinels.map(({ host, port }) => `redis://${host}:${port}`),
        name: set.name,
      },
    })
    const master = await set.masterServer()
    await master.client().xadd('mr:{a}a', '*', 'data', '1')
    expect((await exporter.snapshot()).streams).toHaveLength(1)
    await master.client().wait(1, 5_000)
    await master.kill('SIGKILL')
    const isShown = async (): Promise<boolean> => {
      const { nodes, streams } = await exporter.snapshot()
      return nodes[0]?.isUp === true && streams.length === 1
    }
    expect(await isShown()).toBe(false)
    await waitFor(isShown, { describe: 'the new master', timeoutMs: 60_000, everyMs: 200 })
  })

  it('a server with TLS and a private authority', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
    try {
      certify(dir)
      const port = await freePort()
      const files = [
        '--tls-cert-file',
        join(dir, 'cert.pem'),
        '--tls-key-file',
        join(dir, 'key.pem'),
      ]
      const args = ['--tls-port', String(port), '--tls-auth-clients', 'no', ...files]
      await using server = await startRedis({ args })
      await server.client().xadd('mr:{a}a', '*', 'data', '1')
      const url = `rediss://127.0.0.1:${port}`
      const ca = readFileSync(join(dir, 'cert.pem'))
      await using exporter = new FleetExporter({ redis: url, tls: { ca } })
      expect((await exporter.snapshot()).streams).toHaveLength(1)
      await using distrustful = new FleetExporter({ redis: url })
      expect((await distrustful.snapshot()).nodes[0]?.isUp).toBe(false)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  it('a server that goes and comes back is noticed by probes alone, although nobody scrapes', async () => {
    await using redis = await startRedis({ persistence: true })
    await using exporter = new FleetExporter({ redis: redis.url, deadlineMs: 1_000 })
    await waitFor(async () => (await exporter.readiness()).isReady, { describe: 'all keys' })
    await redis.stop()
    await waitFor(async () => !(await exporter.readiness()).isReady, { describe: 'a refusal' })
    await redis.restart()
    await waitFor(async () => (await exporter.readiness()).isReady, { describe: 'all keys again' })
  })

  it('nothing answers all the same, and reads again when Redis is back', async () => {
    await using redis = await startRedis({ persistence: true })
    await redis.client().xadd('mr:{a}a', '*', 'data', '1')
    await using exporter = new FleetExporter({ redis: redis.url })
    await using http = await serveFleet(exporter, { port: 0 })
    const get = async (path: string): Promise<readonly [number, string]> => {
      const response = await fetch(`${http.url}${path}`)
      return [response.status, await response.text()]
    }
    expect(await get('/readyz')).toEqual([200, 'reading\n'])
    const stream = 'redis_stream_length{db="db0",stream="mr:{a}a"} 1\n'
    expect((await get('/metrics'))[1]).toContain(stream)
    await redis.stop()
    const [status, text] = await get('/metrics')
    expect(status).toBe(200)
    expect(text).toContain(`millrace_exporter_up{node="127.0.0.1:${redis.port}"} 0\n`)
    expect(text).toMatch(/^millrace_exporter_errors_total\{kind="connection"\} [1-9]/m)
    expect(text).not.toContain('redis_stream_length')
    expect(await get('/readyz')).toEqual([503, `no answer from 127.0.0.1:${redis.port}\n`])
    expect(await get('/healthz')).toEqual([200, 'ok\n'])
    await redis.restart()
    expect((await get('/metrics'))[1]).toContain(stream)
    expect((await get('/readyz'))[0]).toBe(200)
    expect((await get('/nothing'))[0]).toBe(404)
    expect((await fetch(`${http.url}/metrics`, { method: 'POST' })).status).toBe(405)
    await http.close()
    await expectNoLeaks(redis)
  })

  it('a server is sent nothing more while a lot is not answered', async () => {
    await using redis = await startRedis()
    const admin = redis.client()
    for (let n = 0; n < 60; n++) await admin.xadd(`mr:{s-${n}}s-${n}`, '*', 'data', '1')
    await admin.config('RESETSTAT')
    await using proxy = await startFaultProxy(redis)
    // From the first answer about a stream on, none arrives.
    void proxy.dropNextReply(([name = '']) => {
      if (name.toLowerCase() === 'xinfo') proxy.blackhole('both')
      return false
    })
    await using exporter = new FleetExporter({ redis: proxy.url, deadlineMs: 1_000 })
    await exporter.snapshot()
    const stats = await admin.info('commandstats')
    const calls = Number(/cmdstat_xinfo\|stream:calls=(\d+)/.exec(stats)?.[1])
    expect(calls).toBeGreaterThan(0)
    expect(calls).toBeLessThanOrEqual(3)
  })

  it('a server whose connection is cut in the middle of a scrape is read on over another', async () => {
    await using redis = await startRedis()
    const admin = redis.client()
    for (let n = 0; n < 60; n++) await admin.xadd(`mr:{s-${n}}s-${n}`, '*', 'data', '1')
    await using proxy = await startFaultProxy(redis)
    await using exporter = new FleetExporter({ redis: proxy.url })
    const lost = proxy.dropNextReply(([name = '']) => name.toLowerCase() === 'xinfo')
    const { streams, nodes } = await exporter.snapshot()
    await lost
    expect(nodes[0]?.isUp).toBe(true)
    expect(streams.length).toBeLessThan(60)
    expect(streams.length).toBeGreaterThanOrEqual(57)
    expect((await exporter.snapshot()).streams).toHaveLength(60)
  })

  it('a server that accepts and never answers is given up after the deadline', async () => {
    await using redis = await startRedis()
    await using exporter = new FleetExporter({ redis: redis.url, deadlineMs: 300 })
    expect((await exporter.snapshot()).nodes[0]?.isUp).toBe(true)
    await redis.kill('SIGSTOP')
    const { nodes, errors } = await exporter.snapshot()
    expect(nodes[0]?.isUp).toBe(false)
    expect(errors['deadline']).toBeGreaterThan(0)
    await redis.kill('SIGCONT')
    await waitFor(async () => (await exporter.snapshot()).nodes[0]?.isUp === true, {
      describe: 'an answer',
    })
  })
})

function certify(dir: string): void {
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem'), '-days', '1'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ],
    { stdio: 'ignore' },
  )
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address === 'object' && address !== null) return address.port
  throw new Error('no free port')
}
