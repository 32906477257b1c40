import { describe, expect, it } from 'vitest'
import { startRedis } from '@millrace/testkit'
import { killPublishers } from '../programs/kills.ts'
import { seededRandom } from '../programs/seeded-random.ts'
import { spoolDirectory } from './spool-rig.ts'

describe('spools of many processes', () => {
  it('have everything once and in order that was answered by ten processes that were killed', async () => {
    await using redis = await startRedis({ persistence: true })
    using directory = spoolDirectory()
    const report = await killPublishers(redis, directory.path, 10, seededRandom(7))
    expect(report).toMatchObject({ lost: 0, duplicates: 0, outOfOrder: 0 })
    expect(report.answeredFromSpool).toBeGreaterThan(0)
    expect(directory.files()).toEqual([])
  }, 120_000)
})
