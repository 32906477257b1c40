import type { StreamPause } from '../admin/pauses.ts'
import { channels } from '../diagnostics.ts'
import type { Core } from '../core.ts'
import { isMillraceError } from '../errors.ts'
import { beatEveryMs, lookEveryMs } from '../lease/observation.ts'
import { pause } from '../lifecycle/signals.ts'
import { isRefusal, type PendingEntry, type Refusal } from './answers.ts'
import type { GroupCommands } from './commands.ts'
import type { GapWatch } from './gap-watch.ts'
import type { Membership } from './membership.ts'
import { compareHoldings, CountAlarm, neverHeld } from './reconcile.ts'
import { type Claimable, judgeOthers, nothingSeen, type Observations } from './watch.ts'
import type { Workbench } from './workbench.ts'

/** Entries that are taken from others in one script. */
const CLAIM_PAGE = 128

/** How soon a beat that failed is tried again, in milliseconds. */
const BEAT_AGAIN_MS = 200

/** Two beats are never closer than this, in milliseconds. */
const SHORTEST_PAUSE_MS = 20

/**
 * Keeps one membership alive: raises its beat, watches the others with the same script, claims what
 * the dead have left, and notices when Redis and this member disagree about what it holds.
 */
export class Keeper<Data> {
  readonly #core: Core
  readonly #commands: GroupCommands
  readonly #membership: Membership
  readonly #workbench: Workbench<Data>
  readonly #refused: (membership: Membership, refusal: Refusal) => void
  readonly #gaps: GapWatch
  readonly #notePause: (pause: StreamPause | undefined) => void
  readonly #caughtUp: () => Promise<void>
  readonly #facts: { readonly stream: string; readonly name: string }
  readonly #alarm = new CountAlarm()
  #observations: Observations = nothingSeen
  #claimable: readonly Claimable[] = []
  #claiming = false
  /** Scripts that claim: how many were sent, and how many of those were answered or failed. */
  #claimsSent = 0
  #claimsDone = 0
  #comparing = false

  constructor(
    core: Core,
    commands: GroupCommands,
    membership: Membership,
    workbench: Workbench<Data>,
    refused: (membership: Membership, refusal: Refusal) => void,
    gaps: GapWatch,
    notePause: (pause: StreamPause | undefined) => void,
    caughtUp: () => Promise<void>,
    facts: { readonly stream: string; readonly name: string },
  ) {
    this.#core = core
    this.#commands = commands
    this.#membership = membership
    this.#workbench = workbench
    this.#refused = refused
    this.#gaps = gaps
    this.#notePause = notePause
    this.#caughtUp = caughtUp
    this.#facts = facts
  }

  /** Beats until the membership ends. */
  async run(): Promise<void> {
    const { signal } = this.#membership
    while (!signal.aborted) {
      let nextInMs = BEAT_AGAIN_MS
      try {
        nextInMs = await this.#beat()
      } catch (error) {
        // What the others did meanwhile is not known.
        this.#observations = nothingSeen
        this.#report('beat', error)
      }
      await pause(this.#core.clock, Math.max(nextInMs, SHORTEST_PAUSE_MS), signal)
    }
  }

  /** Goes on claiming, if there is something and room for it. */
  async claim(): Promise<void> {
    if (this.#claiming || this.#claimable.length === 0) return
    this.#claiming = true
    try {
      for (const claimable of this.#claimable) {
        if (!(await this.#claimFrom(claimable))) return
      }
      this.#claimable = []
    } catch (error) {
      this.#report('claim', error)
    } finally {
      this.#claiming = false
    }
  }

  async #beat(): Promise<number> {
    const { clock, host } = this.#core
    const { identity, leaseMs, signal } = this.#membership
    const { holdings } = this.#workbench
    const sizeBefore = holdings.size
    const receivedBefore = this.#workbench.received
    let sentMs = clock.monotonicMs()
    let sends = 0
    const onSend = (): void => {
      sentMs = clock.monotonicMs()
      sends++
    }
    const answer = await this.#commands.beat(identity, this.#gaps.told, onSend, {
      signal,
      deadlineMs: leaseMs,
    })
    if (isRefusal(answer)) {
      this.#refused(this.#membership, answer)
      return leaseMs
    }
    this.#membership.confirm(sentMs)
    if (answer.gap !== undefined) this.#gaps.meet(answer.gap)
    this.#notePause(answer.pause)
    this.#workbench.confirmed()
    const nowMs = clock.monotonicMs()
    const seen = sends > 1 ? nothingSeen : this.#observations
    const findings = judgeOthers(seen, answer.others, nowMs, leaseMs, host)
    this.#observations = findings.observations
    if (!this.#claiming) this.#claimable = findings.claimable
    void this.claim()
    this.#workbench.redrives.notice(answer.redrive)
    const most = sizeBefore + this.#workbench.received - receivedBefore
    const least = Math.min(sizeBefore, holdings.size) - holdings.settling
    if (this.#alarm.look(answer.pending, least, most)) void this.#compare()
    return Math.min(beatEveryMs(leaseMs), lookEveryMs(leaseMs), findings.nextInMs + 1)
  }

  /** Answers whether there is room for more. */
  async #claimFrom({ name, record, why }: Claimable): Promise<boolean> {
    const { identity, signal } = this.#membership
    const clean = why === 'released'
    for (let first = true; ; first = false) {
      const room = clean ? this.#workbench.room : this.#workbench.quarantineRoom
      if (room === 0) return false
      const most = Math.min(room, CLAIM_PAGE)
      this.#claimsSent++
      const answer = await this.#commands
        .claim(identity, name, record, most, { signal })
        .finally(() => {
          this.#claimsDone++
        })
      if (answer === 'CHANGED') return true
      if (isRefusal(answer)) {
        this.#refused(this.#membership, answer)
        return false
      }
      const { entries, expired, drained } = answer
      if (first && why !== 'released' && why !== 'revoked') {
        channels.leaseChanged.publish({
          ...this.#facts,
          change: 'taken-over',
          token: name,
          reason: why,
        })
      }
      if (entries.length + expired > 0) {
        channels.claimed.publish({ ...this.#facts, from: name, events: entries.length, expired })
      }
      this.#workbench.adopt(entries, { redelivered: true, quarantined: !clean })
      if (drained) return true
    }
  }

  /** Finds out what Redis and this member hold against each other, and mends it. */
  async #compare(): Promise<void> {
    if (this.#comparing) return
    this.#comparing = true
    const { identity, signal } = this.#membership
    const { holdings } = this.#workbench
    using departures = holdings.watchDepartures()
    try {
      const claims = this.#claimsDone
      const heldBefore = [...holdings.all()]
      const pending = await this.#commands.pending(identity, { signal })
      if (isRefusal(pending)) return
      const { unknown, missing } = compareHoldings(pending, heldBefore, holdings)
      await this.#workbench.restore(missing, this.#commands, this.#membership)
      let lost: readonly PendingEntry[] = []
      if (unknown.length > 0) {
        // Answers go over several connections: that of a read or a claim may come after the list.
        await this.#caughtUp()
        if (signal.aborted || claims !== this.#claimsSent) return
        lost = neverHeld(unknown, holdings, departures)
        this.#workbench.adopt(lost, { redelivered: false, quarantined: false })
      }
      this.#alarm.compared(lost.length + missing.length > 0)
    } catch (error) {
      this.#report('reconcile', error)
    } finally {
      this.#comparing = false
    }
  }

  #report(loop: string, error: unknown): void {
    if (this.#membership.signal.aborted || isMillraceError(error, 'CLOSED')) return
    channels.loopFailed.publish({ loop, ...this.#facts, error: error as Error })
  }
}
