import { deafAfterMs, type ReadHealth, type ReadState } from './read-health.ts'

/** Whether everything made by one `connect()` does what it should: for probes of readiness and liveness. */
export interface Health {
  /** Whether everything that reads is reading, or has a good reason not to. Red when reads have stopped. */
  readonly ready: boolean
  /**
   * Whether what is wrong can mend itself. Red when something has stopped by itself, or when reads do not
   * come back although Redis answers otherwise; not while Redis is away, for a restart would not help. In a
   * Cluster only others of the same stream tell that: another stream may be on a node that is well.
   */
  readonly live: boolean
  /** What keeps it from being ready or live, one sentence each. */
  readonly problems: readonly string[]
  readonly reads: readonly ReadHealth[]
  /** How many connections are open, by purpose. */
  readonly connections: Readonly<Record<string, number>>
}

/** In these states all is as it should be. */
const GOOD: ReadonlySet<ReadState> = new Set(['busy', 'idle', 'paused', 'reading', 'standby'])
/** How many times its patience a deaf read may take to mend itself, while Redis answers otherwise. */
const PATIENCES = 3

interface Circumstances {
  readonly isOpen: boolean
  readonly isCluster: boolean
  readonly blockMs: number
}

/** Judges a whole process by what reads in it. */
export function judgeHealth(
  reads: readonly ReadHealth[],
  connections: Readonly<Record<string, number>>,
  { isOpen, isCluster, blockMs }: Circumstances,
): Health {
  const patienceMs = deafAfterMs(blockMs)
  const answered = reads.filter(
    ({ holdsLease, confirmedAgoMs }) =>
      holdsLease || (confirmedAgoMs !== undefined && confirmedAgoMs <= patienceMs),
  )
  const isStuck = ({ state, stream, unansweredMs }: ReadHealth): boolean =>
    state === 'deaf' &&
    unansweredMs > PATIENCES * patienceMs &&
    answered.some((other) => !isCluster || other.stream === stream)
  const bad = reads.filter(({ state }) => !GOOD.has(state))
  const problems = bad.map(
    ({ kind, name, stream, state, reason }) =>
      `${kind === 'reader' ? 'A reader' : `${TITLES[kind]} ${name}`} of ${stream} is ${state}: ${reason}`,
  )
  if (!isOpen) problems.unshift('Millrace was closed')
  return {
    ready: isOpen && bad.length === 0,
    live: !reads.some((read) => read.state === 'stopped' || isStuck(read)),
    problems,
    reads,
    connections,
  }
}

const TITLES = { consumer: 'Consumer', group: 'Consumer group' } as const
