import type { Core } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { messageOf, MillraceError } from '../errors.ts'
import { formatHost, isProvablyGone } from '../lease/host.ts'
import { beatEveryMs, lookEveryMs, type Observation, observe } from '../lease/observation.ts'
import { newNonce } from '../lease/token.ts'
import { LeaseTrust } from '../lease/trust.ts'
import { abortSignal, optionProblems, throwProblems, wholeNumber } from '../lifecycle/options.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { acquireLease, beatLease, releaseLease } from './election-script.ts'

export interface ElectionOptions {
  /**
   * How long after its last sign of life the elected counts as dead, in milliseconds.
   * @defaultValue 4_000
   */
  readonly leaseMs?: number
  /** Ends the candidacy: the work is told to end, and the lease is given back. */
  readonly signal: AbortSignal
}

/** What the elected one holds. */
export interface HeldLease {
  /** Rises with each holder; scripts check it, see `leaseLua`. */
  readonly token: string
  /** Fires when the lease is lost or in doubt, or the candidacy ends. */
  readonly signal: AbortSignal
  /**
   * Whether the lease can still be relied on, judged by the clock at this moment. Ask before each step that
   * has effects: after a stall the signal fires late.
   */
  holds(): boolean
}

const defaults = Object.freeze({ leaseMs: 4_000 })
const PAUSE_AFTER_FAILURE_MS = 500
const ASK_DEADLINE_MS = 2_000
const RELEASE_DEADLINE_MS = 2_000

/** Where an election takes place. */
export interface Poll {
  readonly stream: string
  readonly name: string
  readonly keys: StreamKeys
  readonly key: string
}

/**
 * Stands for election until the signal fires, and works while elected. When the work ends or fails, the
 * lease is given back, and the candidate stands again.
 */
export async function elect(
  core: Core,
  poll: Poll,
  options: ElectionOptions,
  work: (held: HeldLease) => Promise<void>,
): Promise<void> {
  throwProblems(
    `Election ${poll.name}`,
    optionProblems(options, {
      leaseMs: wholeNumber(500, 3_600_000, 'milliseconds'),
      signal: abortSignal,
    }),
  )
  const { signal } = options
  const leaseMs = options.leaseMs ?? defaults.leaseMs
  while (!signal.aborted) {
    try {
      const taken = await candidate(core, poll, leaseMs, signal)
      if (taken === undefined) return
      await serve(core, poll, leaseMs, taken, signal, work)
    } catch (error) {
      if (signal.aborted || core.connections.closed.aborted) return
      const { stream, name } = poll
      channels.loopFailed.publish({
        loop: 'election',
        stream,
        name,
        error: error instanceof Error ? error : new Error(messageOf(error)),
      })
    }
    // Work that ends at once must not become a busy loop, and others may have better luck.
    await pause(core.clock, PAUSE_AFTER_FAILURE_MS, signal)
  }
}

interface Taken {
  readonly token: string
  readonly sentMs: number
}

/** Looks and waits until the lease is ours; undefined when the candidacy ends. */
async function candidate(
  core: Core,
  { keys, key }: Poll,
  leaseMs: number,
  signal: AbortSignal,
): Promise<Taken | undefined> {
  const nonce = newNonce()
  const holder = formatHost(core.host)
  let expected: { readonly token: string; readonly beat: number } | undefined
  let observation: Observation | undefined
  while (!signal.aborted) {
    let sentMs = 0
    const answer = await core.connections.call(
      'control',
      keys.tag,
      (session) => {
        sentMs = core.clock.monotonicMs()
        return acquireLease(session, key, { nonce, holder, leaseMs, expected })
      },
      // No signal: a lease that is granted to nobody would keep others waiting.
      { deadlineMs: ASK_DEADLINE_MS },
    )
    if (!answer.held) return { token: answer.fence.token, sentMs }
    const { token, beat } = answer
    const gone = isProvablyGone(answer.holder, core.host)
    const verdict = observe(observation, answer, core.clock.monotonicMs())
    observation = verdict.observation
    if (gone || verdict.action === 'take-over') {
      // With the beat that was seen: a holder that beats meanwhile keeps its lease.
      const again = expected?.token === token && expected.beat === beat
      expected = { token, beat }
      if (!again) continue
    } else expected = undefined
    await pause(core.clock, lookEveryMs(answer.leaseMs), signal)
  }
  return undefined
}

async function serve(
  core: Core,
  poll: Poll,
  leaseMs: number,
  taken: Taken,
  signal: AbortSignal,
  work: (held: HeldLease) => Promise<void>,
): Promise<void> {
  const { stream, name } = poll
  const over = new AbortController()
  const { token } = taken
  let reason = ''
  const lose = (why: string): void => {
    if (over.signal.aborted) return
    reason = why
    over.abort(new MillraceError('LEASE_LOST', why, { stream, name }))
  }
  const trust = new LeaseTrust(core.clock, leaseMs, () => {
    lose('the lease could not be confirmed in time')
  })
  trust.confirmed(taken.sentMs)
  const off = onAbort(signal, () => {
    over.abort(signal.reason)
  })
  channels.leaseChanged.publish({ stream, name, change: 'acquired', token, reason: '' })
  const done = new AbortController()
  const beating = keepBeating(core, poll, leaseMs, token, trust, lose, done.signal)
  try {
    if (!signal.aborted) {
      await work({
        token,
        signal: over.signal,
        holds: () => !over.signal.aborted && trust.holdsAt(core.clock.monotonicMs()),
      })
    }
  } finally {
    done.abort()
    off()
    trust.end()
    await beating
    channels.leaseChanged.publish({
      stream,
      name,
      change: reason === '' ? 'released' : 'lost',
      token,
      reason,
    })
    await core.connections
      .call('control', poll.keys.tag, (session) => releaseLease(session, poll.key, token), {
        deadlineMs: RELEASE_DEADLINE_MS,
      })
      // Then the lease runs out by itself.
      .catch(() => undefined)
  }
}

async function keepBeating(
  core: Core,
  { keys, key }: Poll,
  leaseMs: number,
  token: string,
  trust: LeaseTrust,
  lose: (why: string) => void,
  ended: AbortSignal,
): Promise<void> {
  for (;;) {
    await pause(core.clock, beatEveryMs(leaseMs), ended)
    if (ended.aborted) return
    let sentMs = 0
    try {
      const ours = await core.connections.call(
        'control',
        keys.tag,
        (session) => {
          sentMs = core.clock.monotonicMs()
          return beatLease(session, key, token)
        },
        { deadlineMs: leaseMs, signal: ended },
      )
      if (!ours) {
        lose('another holder took the lease')
        return
      }
      if (!ended.aborted) trust.confirmed(sentMs)
    } catch {
      // The trust runs out by itself; the next beat may come through before.
    }
  }
}
