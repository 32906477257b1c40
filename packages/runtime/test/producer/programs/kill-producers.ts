import { startRedis } from '@millrace/testkit'
import { spoolDirectory } from '../spool/spool-rig.ts'
import { killPublishers } from './kills.ts'
import { seededRandom } from './seeded-random.ts'

/**
 * Kills a publishing process with -9 a hundred times, or as often as the first argument says:
 * `node --conditions=millrace-source packages/runtime/test/producer/programs/kill-producers.ts 100`
 */
const kills = Number(process.argv[2] ?? 100)
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000)
await using redis = await startRedis({ persistence: true })
using directory = spoolDirectory()
const startedMs = performance.now()
console.log(`seed ${seed}`)
const report = await killPublishers(redis, directory.path, kills, seededRandom(seed), (kill) => {
  if (kill % 10 === 0) console.log(`${kill} of ${kills} killed`)
})
console.log({ ...report, seconds: Math.round((performance.now() - startedMs) / 1_000) })
console.log(`files left: ${directory.files().length}`)
if (report.lost + report.duplicates + report.outOfOrder > 0) process.exitCode = 1
