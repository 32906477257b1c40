import { execFile } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { startFaultProxy, startRedis, waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { channels } from '../../../src/diagnostics.ts'
import { killPublishers, publisher } from '../programs/kills.ts'
import { seededRandom } from '../programs/seeded-random.ts'
import { numbers, openRig, payloadsOf } from '../rig.ts'
import { KEY, spoolDirectory, spoolingProducer, storedOf } from './spool-rig.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../../../../', import.meta.url))

describe('spools of several processes', () => {
  it('have everything once and in order that was answered by three processes that were killed', async () => {
    await using redis = await startRedis({ persistence: true })
    using directory = spoolDirectory()
    const report = await killPublishers(redis, directory.path, 3, seededRandom(7))
    expect(report).toMatchObject({ lost: 0, duplicates: 0, outOfOrder: 0 })
    expect(report.answeredFromSpool).toBeGreaterThan(0)
    expect(directory.files()).toEqual([])
  }, 120_000)

  it('do not meet when two publish under one producer id at the same time', async () => {
    await using redis = await startRedis({ persistence: true })
    using directory = spoolDirectory()
    await redis.kill('SIGKILL')
    const answers = join(directory.path, 'answers')
    writeFileSync(answers, '')
    const both = [0, 1].map((turn) =>
      publisher({
        url: redis.url,
        directory: directory.path,
        answers,
        turn,
        events: 3_000,
        afterMs: 40,
      }),
    )
    const exits = both.map((child) => once(child, 'exit'))
    await waitFor(() => statSync(answers).size > 10_000, { describe: 'both to spool' })
    await redis.restart()
    expect((await Promise.all(exits)).map(([code]) => code as number)).toEqual([0, 0])
    // Whoever was closed before Redis answered again has left the rest for the next one.
    const third = { url: redis.url, directory: directory.path, answers, turn: 2, events: 1 }
    await once(publisher({ ...third, afterMs: 20_000 }), 'exit')
    const payloads = (await payloadsOf(redis.client(), KEY)) as { turn: number; n: number }[]
    for (const turn of [0, 1]) {
      const own = payloads.filter((payload) => payload.turn === turn)
      expect(own.findIndex(({ n }, i) => n !== i)).toBe(-1)
      expect(own).toHaveLength(3_000)
    }
    expect(readFileSync(answers, 'utf8')).toContain('spool')
    expect(directory.files()).toEqual([])
  })
})

describe('the thread of a spool', () => {
  it('runs from what is built as it runs from the sources', async () => {
    using directory = spoolDirectory()
    const built = join(directory.path, 'built')
    // Nothing of the package's own output is touched, which somebody may be using.
    await run(join(root, 'node_modules/.bin/tsc'), [
      ...['-p', join(root, 'packages/runtime/tsconfig.json'), '--outDir', built],
      ...[
        '--composite',
        'false',
        '--incremental',
        'false',
        '--tsBuildInfoFile',
        'null',
        '--noCheck',
      ],
    ])
    writeFileSync(join(built, 'package.json'), '{"type":"module"}')
    const spools = join(directory.path, 'spools')
    mkdirSync(spools)
    const program = join(built, 'program.js')
    const thread = pathToFileURL(join(built, 'producer/spool/spool-thread.js')).href
    writeFileSync(
      program,
      `import { SpoolThread } from '${thread}'
       const thread = new SpoolThread()
       const file = await thread.call('create', ${JSON.stringify(spools)}, { producerId: 'p', stream: 's' }, 'e')
       const events = '[]'
       const append = [{ position: 1, first: 1, count: 1, bytes: 1, atMs: 1, events }]
       await thread.call('commit', file, { epoch: 'e', removeThrough: 0, renumber: false, append })
       console.log(JSON.stringify(await thread.call('read', file, 0, 10, 10)))
       await thread.end()`,
    )
    const { stdout } = await run(process.execPath, [program])
    expect(JSON.parse(stdout)).toMatchObject([{ position: 1, first: 1, events: '[]' }])
  })
})

describe('a spool on a disk that is full', () => {
  const reason = 'only root can mount a disk of its own'
  it.skipIf(process.getuid?.() !== 0)(
    `refuses with a clear error, and goes on when there is room (skipped: ${reason})`,
    async () => {
      await using redis = await startRedis({ persistence: true })
      using rig = openRig(redis.url, 30_000)
      using directory = spoolDirectory()
      const disk = join(directory.path, 'disk')
      mkdirSync(disk)
      await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
      try {
        await redis.kill('SIGKILL')
        await using producer = spoolingProducer(rig.core, disk)
        const padding = 'x'.repeat(10_000)
        const stored: string[] = []
        let n = 0
        const publishUntilRefused = async (): Promise<void> => {
          for (;;) {
            const event = { n: n++, padding }
            stored.push(...storedOf([await producer.publish(event)]))
          }
        }
        await expect(publishUntilRefused()).rejects.toMatchObject({ code: 'SPOOL_FULL' })
        expect(stored.length).toBeGreaterThan(5)
        await redis.restart()
        await waitFor(async () => (await redis.client().xlen(KEY)) === stored.length, {
          describe: 'the spool to be sent',
        })
        await producer.publish({ n: -1 }, { deadlineMs: 20_000 })
        await producer.close()
        const payloads = (await payloadsOf(redis.client(), KEY)) as { n: number }[]
        expect(payloads.map((payload) => payload.n)).toEqual([
          ...numbers(stored.length).map((payload) => payload.n),
          -1,
        ])
      } finally {
        await run('umount', [disk])
      }
    },
  )

  it.skipIf(process.getuid?.() !== 0)(
    `has room again for what was under way (skipped: ${reason})`,
    async () => {
      await using redis = await startRedis()
      await using proxy = await startFaultProxy(redis)
      using rig = openRig(proxy.url, 60_000)
      using directory = spoolDirectory()
      const disk = join(directory.path, 'disk')
      mkdirSync(disk)
      await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
      try {
        await using producer = spoolingProducer(rig.core, disk)
        await producer.publish({ n: 0 })
        await waitFor(async () => (await redis.client().xlen(KEY)) === 1, { describe: 'the first' })
        const refusals: Error[] = []
        const off = channels.loopFailed.subscribe(({ loop, error }) => {
          if (loop === 'spool') refusals.push(error)
        })
        const filler = join(disk, 'filler')
        fillUp(filler)
        proxy.blackhole('toClient')
        const underWay = producer.publishMany(numbers(1_500).slice(1))
        await waitFor(() => refusals.length > 0, { describe: 'the disk to refuse' })
        rmSync(filler)
        expect(new Set(storedOf(await underWay))).toEqual(new Set(['spool']))
        await producer.publishMany(numbers(3_000).slice(1_500))
        proxy.resetAll()
        await proxy.heal()
        await waitFor(async () => (await redis.client().xlen(KEY)) === 3_000, { describe: 'all' })
        await producer.close()
        off()
        expect(refusals[0]).toMatchObject({ code: 'SPOOL_FULL' })
        expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(3_000))
      } finally {
        await run('umount', [disk])
      }
    },
  )
})

/** Writes until the disk takes no more. */
function fillUp(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (;;) writeSync(file, Buffer.alloc(4_096))
  } catch {
    closeSync(file)
  }
}
