import {
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { startRedis } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { isMillraceError } from '../../../src/errors.ts'
import { SpoolFile, type SpoolIdentity } from '../../../src/producer/spool/spool-file.ts'
import type { SpooledBatch } from '../../../src/producer/spool/spooled-batch.ts'
import { numbers, openRig, payloadsOf } from '../rig.ts'
import { seededRandom } from '../programs/seeded-random.ts'
import { KEY, spoolDirectory, spoolingProducer } from './spool-rig.ts'

const identity: SpoolIdentity = { producerId: 'tower', stream: KEY }

/** Batches as a producer would have them, of many sizes. */
function batches(count: number, from = 1): SpooledBatch[] {
  return Array.from({ length: count }, (_, i) => ({
    position: from + i,
    first: from + i,
    count: 1,
    bytes: 10,
    atMs: 1_000 + i,
    events: JSON.stringify([[['data'], [`payload ${from + i} `.repeat((i % 7) * 40 + 1)]]]),
  }))
}

/** A file that its process left without closing it: as a kill would, with a log beside it. */
function abandoned(directory: string, name: string, write: (file: SpoolFile) => void): string {
  const live = join(directory, `live-${name}`)
  const file = SpoolFile.create(live, identity, 'epoch')
  if (file === undefined) throw new Error('the file was not created')
  write(file)
  const path = join(directory, name)
  for (const suffix of ['', '-wal', '.mark']) copyFileSync(live + suffix, path + suffix)
  file.close()
  return path
}

function contentOf(path: string): SpooledBatch[] {
  const adopted = SpoolFile.adopt(path, identity)
  if (adopted === 'in-use' || adopted === 'nothing') throw new Error(adopted)
  const content = adopted.file.read(0, 10_000, Number.MAX_SAFE_INTEGER)
  adopted.file.close()
  return content
}

const append = (file: SpoolFile, list: readonly SpooledBatch[], removeThrough = 0): void => {
  file.commit({ epoch: 'epoch', removeThrough, renumber: false, append: list })
}

describe('a spool file', () => {
  it('gives back what was committed, after its process was killed', () => {
    using directory = spoolDirectory()
    const path = abandoned(directory.path, 'a.spool', (file) => {
      append(file, batches(20))
      append(file, batches(5, 21), 3)
    })
    expect(contentOf(path)).toEqual([...batches(20), ...batches(5, 21)].slice(3))
  })

  it('can be had by one at a time', () => {
    using directory = spoolDirectory()
    const path = join(directory.path, 'a.spool')
    const file = SpoolFile.create(path, identity, 'epoch')
    expect(SpoolFile.adopt(path, identity)).toBe('in-use')
    file?.close()
    expect(existsSync(path)).toBe(false)
    expect(SpoolFile.adopt(path, identity)).toBe('nothing')
  })

  it('gives new sequences to all of it at once', () => {
    using directory = spoolDirectory()
    const path = abandoned(directory.path, 'a.spool', (file) => {
      append(file, batches(9))
      file.commit({ epoch: 'other', removeThrough: 4, renumber: true, append: [] })
    })
    const adopted = SpoolFile.adopt(path, identity)
    expect(adopted).toMatchObject({ facts: { epoch: 'other', first: 1, events: 5, removed: 4 } })
    if (typeof adopted === 'object') adopted.file.close()
    expect(contentOf(path).map(({ first }) => first)).toEqual([1, 2, 3, 4, 5])
  })

  it('is whole or reported when any byte of it has changed, in the log or outside', () => {
    using directory = spoolDirectory()
    const inLog = abandoned(directory.path, 'log.spool', (file) => {
      for (let i = 0; i < 30; i++) append(file, batches(1, i + 1), Math.floor(i / 3))
    })
    // Adopting and letting go moves everything from the log to the file itself.
    const settled = abandoned(directory.path, 'settled.spool', (file) => {
      append(file, batches(60))
      append(file, [], 20)
    })
    const settledContent = contentOf(settled)
    const random = seededRandom(11)
    let reported = 0
    let whole = 0
    const tryOne = (path: string, damagedPart: string, expected: readonly SpooledBatch[]): void => {
      const trial = join(directory.path, 'trial.spool')
      for (const suffix of ['', '-wal', '.mark', '.damaged-wal']) {
        if (existsSync(path + suffix)) copyFileSync(path + suffix, trial + suffix)
        else truncateIfThere(trial + suffix)
      }
      const bytes = readFileSync(trial + damagedPart)
      const at = Math.floor(random() * bytes.length)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8))
      writeFileSync(trial + damagedPart, bytes)
      try {
        const content = contentOf(trial)
        expect(content, `byte ${at} of ${damagedPart}`).toEqual(expected)
        whole++
      } catch (error) {
        if (!isMillraceError(error)) throw error
        expect(error.code, `byte ${at} of ${damagedPart}: ${error.message}`).toBe('SPOOL_CORRUPT')
        reported++
      }
    }
    const original = contentOf(copyOf(inLog, join(directory.path, 'reference.spool')))
    expect(original).toHaveLength(21)
    for (let i = 0; i < 120; i++) {
      tryOne(inLog, '-wal', original)
      tryOne(inLog, '', original)
      tryOne(settled, '', settledContent)
    }
    // Much of a file is free space, where nothing can be harmed.
    expect(reported).toBeGreaterThan(80)
    expect(whole).toBeGreaterThan(20)
  })

  it('is reported when its log has lost its end', () => {
    using directory = spoolDirectory()
    const path = abandoned(directory.path, 'a.spool', (file) => {
      for (let i = 1; i <= 10; i++) append(file, batches(1, i))
    })
    truncateSync(`${path}-wal`, statSync(`${path}-wal`).size - 5_000)
    expect(() => contentOf(path)).toThrow(
      /batches at its end are missing.*\d events in \d batches could/,
    )
    expect(existsSync(`${path}.damaged-wal`)).toBe(true)
  })
})

describe('a producer with a damaged spool', () => {
  it('stops, says which file and how much of it can be read, keeps it, and sends nothing of it', async () => {
    await using redis = await startRedis()
    using rig = openRig(redis.url, 30_000)
    using directory = spoolDirectory()
    await redis.kill('SIGKILL')
    for (const first of [0, 10]) {
      const earlier = spoolingProducer(rig.core, directory.path)
      await earlier.publishMany(numbers(first + 10).slice(first))
      await earlier.close()
    }
    await redis.restart()
    const [, second = ''] = directory.files()
    const bytes = readFileSync(second)
    const at = bytes.indexOf('{\\"n\\":15}')
    expect(at).toBeGreaterThan(0)
    bytes[at] = 0x5b
    writeFileSync(second, bytes)
    const producer = spoolingProducer(rig.core, directory.path)
    await expect(producer.publish({ n: 20 })).rejects.toMatchObject({
      code: 'SPOOL_CORRUPT',
      message: expect.stringContaining(second) as string,
    })
    await expect(producer.publish({ n: 20 })).rejects.toMatchObject({ code: 'SPOOL_CORRUPT' })
    await producer.close()
    expect(readFileSync(second)).toEqual(bytes)
    expect(await payloadsOf(redis.client(), KEY)).toEqual([])
    // With the damaged file out of the way everything else goes on.
    for (const suffix of ['', '.mark', '.damaged-wal']) rmSync(second + suffix, { force: true })
    await using healed = spoolingProducer(rig.core, directory.path, { afterMs: 60_000 })
    await healed.publish({ n: 10 })
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(11))
  })
})

function copyOf(path: string, to: string): string {
  for (const suffix of ['', '-wal', '.mark']) copyFileSync(path + suffix, to + suffix)
  return to
}

function truncateIfThere(path: string): void {
  if (existsSync(path)) truncateSync(path)
}
