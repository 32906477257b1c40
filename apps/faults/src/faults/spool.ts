import { type Fault, standalone, type StandaloneStage } from './fault.ts'

/** Longer than Redis may confirm nothing before events go to disk. */
const AWAY_MS = 2_500

/** What happens to a producer that keeps events on disk while Redis is away. */
export const spoolFaults: readonly Fault[] = [
  standalone({
    name: 'spool-redis-killed',
    about: `kill -9 of Redis, away for ${AWAY_MS / 1_000} s; the producer has a spool`,
    short: true,
    spools: true,
    async inject({ bed, pause }) {
      await bed.server.kill('SIGKILL')
      await pause(AWAY_MS)
      await bed.server.restart()
    },
  }),
  standalone({
    name: 'spool-producer-killed',
    about: 'kill -9 of Redis, and of a producer that has spooled; both are started again',
    short: true,
    spools: true,
    async inject({ bed, cast, pause }) {
      await bed.server.kill('SIGKILL')
      await pause(AWAY_MS)
      await cast.kill('producer')
      cast.restart('producer')
      await bed.server.restart()
    },
  }),
  standalone({
    name: 'spool-killed-while-sending',
    about:
      'kill -9 of a producer four times while it sends what it has spooled, or what the last one has',
    spools: true,
    async inject(stage) {
      const { bed, cast, pause } = stage
      await bed.server.kill('SIGKILL')
      await pause(AWAY_MS)
      await bed.server.restart()
      for (let time = 0; time < 4; time += 1) {
        await pause(40 * time)
        await cast.kill('producer')
        cast.restart('producer')
        await cast.complete()
      }
    },
  }),
  standalone({
    name: 'spool-producer-killed-often',
    about: 'kill -9 of a producer that spools three times, each after Redis was away for a while',
    spools: true,
    async inject({ bed, cast, pause }) {
      for (let time = 0; time < 3; time += 1) {
        await bed.server.kill('SIGKILL')
        await pause(1_200)
        await cast.kill('producer')
        cast.restart('producer')
        await bed.server.restart()
        await cast.complete()
      }
    },
  }),
  standalone({
    name: 'spool-black-hole',
    about: `the producer’s connections half open for 7 s, then kill -9 of it`,
    spools: true,
    inject: (stage) => blackHole(stage, 7_000),
  }),
  standalone({
    name: 'spool-out-of-memory',
    about: `OOM for ${AWAY_MS / 1_000} s: what Redis refuses goes to disk`,
    spools: true,
    async inject({ bed, pause }) {
      await bed.set('maxmemory', '1')
      await pause(AWAY_MS)
      await bed.reset('maxmemory')
    },
  }),
]

async function blackHole({ bed, cast, pause }: StandaloneStage, ms: number): Promise<void> {
  const links = bed.links('producer')
  for (const link of links) link.blackhole('both')
  await pause(ms)
  await cast.kill('producer')
  for (const link of links) await link.heal()
  cast.restart('producer')
}
