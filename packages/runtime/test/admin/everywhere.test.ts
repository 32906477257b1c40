import { describe, expect, test } from 'vitest'
import { startCluster, startRedis, waitFor } from '@millrace/testkit'
import { collectBlobs } from '../../src/blob/collect.ts'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { createCore } from '../../src/core.ts'
import { type BlobStore, connect, type RedisAddress } from '../../src/index.ts'
import { documents, filesIn, fileStore, text } from '../blob/blob-bed.ts'
import { matrix } from '../conformance/servers.ts'
import { page } from '../docs/pages.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()

/** Everything that administration and claim check do, on one stream. */
async function allOfIt(address: RedisAddress, blobStore: BlobStore): Promise<string[]> {
  const stream = documents()
  const core = createCore(resolveConnectOptions(address, { blobStore }))
  try {
    await using millrace = await connect(address, { blobStore, blockMs: 300 })
    const admin = millrace.admin(stream)
    expect((await admin.create()).created).toBe(true)
    await admin.pause({ reason: 'not yet' })
    for (const n of [1, 2, 3]) await millrace.publish(stream, { n, text: text(2_000) })
    const handled: string[] = []
    const options = { leaseMs: 500 }
    const consumer = millrace.consumer(stream, { name: 'index', ...options })
    consumer.start(({ data }, { redriven }) => handled.push(`index ${data.n} ${redriven}`))
    const member = millrace.consumerGroup(stream, { name: 'pool', ...options })
    member.start(({ data }, { redriven }) => handled.push(`pool ${data.n} ${redriven}`))
    await Promise.all([consumer.ready, member.ready])
    expect(handled).toEqual([])
    await admin.resume()
    await waitFor(() => handled.length === 6, { describe: 'all events' })
    await admin.replay('index', { from: 'earliest' })
    await admin.replay('pool', { from: 'earliest' })
    await waitFor(() => handled.filter((one) => one.endsWith('true')).length === 6, {
      describe: 'the replayed events',
    })
    await Promise.all([consumer.close(), member.close()])
    expect(await admin.reset('index', { to: 'earliest' })).toMatchObject({ again: 3 })
    expect(await admin.reset('pool', { to: 'earliest' })).toMatchObject({ again: 3, pending: 0 })
    const dry = await admin.trim({ to: { length: 1 }, dryRun: true })
    const report = await admin.trim({ to: { length: 1 } })
    expect(report).toEqual({ ...dry, dryRun: false })
    expect(report).toMatchObject({ removed: 2 })
    expect(report.unread.map(({ events }) => events)).toEqual([2, 2])
    await admin.trim({ to: { length: 0 } })
    const keys = core.keysOf(stream)
    const margins = { periodMs: 0, marginMs: -3_600_000 }
    expect(await collectBlobs(core, keys, margins)).toMatchObject({ removed: 3, kept: 0 })
    await millrace.publish(stream, { n: 4, text: text(2_000) })
    expect(await admin.delete()).toMatchObject({ events: 1, blobs: 1 })
    return (await millrace.doctor()).findings.map(({ check }) => check)
  } finally {
    core.connections.close()
  }
}

describe('administration and claim check', () => {
  test('work on a cluster', async () => {
    await using cluster = await startCluster()
    const { store, path } = await fileStore(bed)
    const checks = await allOfIt({ cluster: cluster.nodes.map(({ url }) => url) }, store)
    expect(checks).toContain('cluster')
    expect(await filesIn(path)).toEqual([])
  })

  const alone = matrix.filter(({ arrangement }) => arrangement === 'standalone')
  test.for(alone)('work on $title', async ({ binary, reason }, { skip }) => {
    if (reason !== undefined) skip(reason)
    await using server = await startRedis({ binary })
    const { store, path } = await fileStore(bed)
    const checks = await allOfIt(server.url, store)
    expect(checks).toEqual(expect.arrayContaining(['rights', 'memory', 'persistence']))
    expect(await filesIn(path)).toEqual([])
  })

  test('need no more rights than the page says', async () => {
    await using server = await startRedis()
    const { text: guarantees } = page('docs/guarantees.md')
    const [, rules = ''] = /^```text acl\n([^`]*)\n```/m.exec(guarantees) ?? []
    await server.client().call('acl', 'setuser', 'admin', 'reset', ...rules.trim().split(/\s+/))
    const { store, path } = await fileStore(bed)
    await allOfIt(server.url.replace('redis://', 'redis://admin:secret@'), store)
    expect(await filesIn(path)).toEqual([])
    const refused = JSON.stringify(await server.client().call('acl', 'log'))
    // The doctor asks for settings that it can do without.
    expect(refused.replaceAll(/"object","config\|get"/g, '')).not.toContain('"object"')
  })
})
