import type { Direction, FaultProxy } from '@millrace/testkit'
import { type Fault, standalone, type StandaloneStage, TAKEOVER_MS } from './fault.ts'

/** Longer than a silent connection is given before it counts as half open. */
const HALF_OPEN_MS = 7_000

/** What happens between the processes and Redis. */
export const networkFaults: readonly Fault[] = [
  blackHole('toServer', 'what is sent to Redis'),
  blackHole('toClient', 'what Redis answers'),
  standalone({
    name: 'black-hole-both-ways',
    about: `every connection half open for ${HALF_OPEN_MS / 1_000} s: nothing arrives either way, nobody is told`,
    short: true,
    inject: (stage) =>
      during(stage, stage.bed.links(), HALF_OPEN_MS, (link) => link.blackhole('both')),
  }),
  standalone({
    name: 'black-hole-and-reset',
    about: 'all connections reset, and new ones accepted but never answered for 4 s',
    inject: (stage) =>
      during(stage, stage.bed.links(), 4_000, (link) => {
        link.blackhole('both')
        link.resetAll()
      }),
  }),
  standalone({
    name: 'producer-half-open',
    about: `the producer’s connections half open for ${HALF_OPEN_MS / 1_000} s`,
    inject: (stage) =>
      during(stage, stage.bed.links('producer'), HALF_OPEN_MS, (link) => link.blackhole('both')),
  }),
  standalone({
    name: 'holder-cut-off',
    about: 'both holders’ connections half open until after their standbys have taken over',
    short: true,
    bound: { until: 'flow', ms: TAKEOVER_MS },
    inject({ bed, holder, afterwards }) {
      const links = bed.links(holder('ledger'), holder('board'))
      for (const link of links) link.blackhole('both')
      afterwards.defer(() => healAll(links))
      return Promise.resolve()
    },
  }),
  standalone({
    name: 'member-cut-off',
    about: `the connections of a member of each group half open for ${HALF_OPEN_MS / 1_000} s`,
    inject: (stage) =>
      during(
        stage,
        stage.bed.links(stage.member('mail'), stage.member('billing')),
        HALF_OPEN_MS,
        (link) => link.blackhole('both'),
      ),
  }),
  standalone({
    name: 'connections-reset',
    about: 'every connection reset (RST), five times in 2.5 s',
    short: true,
    inject: (stage) => repeatedly(stage, (link) => link.resetAll()),
  }),
  standalone({
    name: 'connections-ended',
    about: 'every connection ended in the orderly way (FIN), five times in 2.5 s',
    inject: (stage) => repeatedly(stage, (link) => link.finAll()),
  }),
  standalone({
    name: 'connections-refused',
    about: 'every connection reset and new ones refused for 3 s',
    async inject({ bed, pause }) {
      const links = bed.links()
      await Promise.all(links.map((link) => link.refuse()))
      for (const link of links) link.resetAll()
      await pause(3_000)
      await healAll(links)
    },
  }),
  standalone({
    name: 'slow-link',
    about: '100 to 150 ms of delay each way for 4 s',
    inject: (stage) =>
      during(stage, stage.bed.links(), 4_000, (link) => {
        link.latencyMs = 100
        link.jitterMs = 50
      }),
  }),
  standalone({
    name: 'thin-link',
    about: '32 kB a second each way and connection for 4 s',
    inject: (stage) =>
      during(stage, stage.bed.links(), 4_000, (link) => {
        link.bytesPerSecond = 32 * 1_024
      }),
  }),
]

function blackHole(direction: Exclude<Direction, 'both'>, what: string): Fault {
  return standalone({
    name: direction === 'toServer' ? 'black-hole-to-server' : 'black-hole-to-client',
    about: `${what} does not arrive for ${HALF_OPEN_MS / 1_000} s, and nobody is told`,
    inject: (stage) =>
      during(stage, stage.bed.links(), HALF_OPEN_MS, (link) => link.blackhole(direction)),
  })
}

async function during(
  { pause }: StandaloneStage,
  links: readonly FaultProxy[],
  ms: number,
  harm: (link: FaultProxy) => void,
): Promise<void> {
  for (const link of links) harm(link)
  try {
    await pause(ms)
  } finally {
    await healAll(links)
  }
}

async function repeatedly(
  { bed, pause }: StandaloneStage,
  harm: (link: FaultProxy) => void,
): Promise<void> {
  for (let time = 0; time < 5; time += 1) {
    for (const link of bed.links()) harm(link)
    await pause(500)
  }
}

async function healAll(links: readonly FaultProxy[]): Promise<void> {
  await Promise.all(links.map((link) => link.heal()))
}
