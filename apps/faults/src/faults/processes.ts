import { processNames } from '../cast/parts.ts'
import { type Fault, REPLACED_MS, standalone, TAKEOVER_MS } from './fault.ts'

const RESTART_BOUND = { until: 'flow', ms: 2_000 } as const

/** What happens to the processes that publish and read. */
export const processFaults: readonly Fault[] = [
  standalone({
    name: 'producer-killed',
    about: 'kill -9 of the producer, started again at once',
    short: true,
    async inject({ cast }) {
      await cast.kill('producer')
      cast.restart('producer')
    },
  }),
  standalone({
    name: 'producer-stopped',
    about: 'SIGSTOP of the producer for 3 s',
    async inject({ cast, pause }) {
      await cast.stop('producer')
      await pause(3_000)
      await cast.resume('producer')
    },
  }),
  standalone({
    name: 'consumer-killed',
    about: 'kill -9 of both consumers’ holders, started again at once on the same host',
    short: true,
    elsewhere: false,
    bound: RESTART_BOUND,
    async inject({ cast, holder }) {
      const holders = [holder('ledger'), holder('board')]
      await cast.kill(...holders)
      cast.restart(...holders)
    },
  }),
  standalone({
    name: 'consumer-and-standby-killed',
    about: 'kill -9 of a consumer’s holder and of its standby, started again at once',
    elsewhere: false,
    bound: RESTART_BOUND,
    async inject({ cast }) {
      await cast.kill('ledger-1', 'ledger-2')
      cast.restart('ledger-1', 'ledger-2')
    },
  }),
  standalone({
    name: 'holder-killed-elsewhere',
    about: 'kill -9 of both holders as on other hosts: their standbys have to wait for the lease',
    short: true,
    elsewhere: true,
    bound: { until: 'flow', ms: TAKEOVER_MS },
    async inject({ cast, holder }) {
      await cast.kill(holder('ledger'), holder('board'))
    },
  }),
  standalone({
    name: 'holder-stopped',
    about: 'SIGSTOP of both holders until after their standbys have taken over, then SIGCONT',
    short: true,
    bound: { until: 'flow', ms: TAKEOVER_MS },
    async inject({ cast, holder, afterwards }) {
      const holders = [holder('ledger'), holder('board')]
      await cast.stop(...holders)
      afterwards.defer(() => cast.resume(...holders))
    },
  }),
  standalone({
    name: 'holder-stopped-briefly',
    about: 'SIGSTOP of both holders for half a lease',
    async inject({ cast, holder, pause }) {
      const holders = [holder('ledger'), holder('board')]
      await cast.stop(...holders)
      await pause(2_000)
      await cast.resume(...holders)
    },
  }),
  standalone({
    name: 'member-killed',
    about: 'kill -9 of a member of each group, started again at once on the same host',
    short: true,
    elsewhere: false,
    bound: { until: 'settled', ms: 2_000 },
    async inject({ cast, member }) {
      const members = [member('mail'), member('billing')]
      await cast.kill(...members)
      cast.restart(...members)
    },
  }),
  standalone({
    name: 'member-killed-elsewhere',
    about: 'kill -9 of a member of each group as on other hosts; the others take its events',
    elsewhere: true,
    bound: { until: 'settled', ms: TAKEOVER_MS },
    async inject({ cast, member }) {
      await cast.kill(member('mail'), member('billing'))
    },
  }),
  standalone({
    name: 'member-stopped',
    about: 'SIGSTOP of a member of each group until after the others have its events, then SIGCONT',
    async inject({ cast, member, pause }) {
      const members = [member('mail'), member('billing')]
      await cast.stop(...members)
      await pause(REPLACED_MS)
      await cast.resume(...members)
    },
  }),
  standalone({
    name: 'everybody-killed',
    about: 'kill -9 of every process at once, all started again',
    async inject({ cast }) {
      await cast.kill(...processNames)
      cast.restart(...processNames)
    },
  }),
]
