import { setTimeout as pause } from 'node:timers/promises'
import type { Place } from '../harness/workbench.ts'
import { serve } from '../harness/program.ts'
import { type Spread, spreadOf } from '../harness/statistics.ts'
import { type Pace, sendPaced } from '../load/pace.ts'
import { publishAll } from '../load/publish-all.ts'
import { type TimedEvent, timedEventAt } from '../load/timed-event.ts'
import { Handled } from './handled.ts'
import { type Confirmed, SteadyPublisher } from './steady-publisher.ts'
import type { Peer, Publisher, Subscription } from './peer.ts'

/** What the program of a peer is asked: one process publishes, another one handles. */
export type PeerProgram = {
  readonly openPublisher: (place: Place) => Promise<void>
  /** Resolves when all are confirmed. */
  readonly publish: (range: { readonly from: number; readonly to: number }) => Promise<void>
  readonly sendPaced: (pace: Pace) => Promise<{ readonly elapsedMs: number }>
  /** Begins to publish at a steady rate, whatever becomes of the single events. */
  readonly beginSteady: (task: {
    readonly perSecond: number
    readonly from: number
  }) => Promise<void>
  readonly endSteady: (nothing: null) => Promise<Confirmed>

  readonly subscribe: (place: Place) => Promise<void>
  /** Resolves when so many different events have been handled, and the broker knows it. */
  readonly settled: (task: { readonly events: number }) => Promise<void>
  /** How long the events from this one on took. */
  readonly spread: (task: { readonly from: number }) => Promise<Spread>
  /** When the first event was handled that was sent after this instant; 0 if that takes too long. */
  readonly resumed: (task: {
    readonly afterUs: number
    readonly withinMs: number
  }) => Promise<{ readonly atUs: number }>
  /** How many of these were not handled, waiting a while for them. */
  readonly missing: (task: {
    readonly sequences: readonly number[]
    readonly withinMs: number
  }) => Promise<{ readonly events: number; readonly handledTwice: number }>
}

const LOOK_MS = 2
const LOOK_AGAIN_MS = 20

/** The main of a peer's process. */
export function servePeer(peer: Peer): void {
  let publisher: Publisher | undefined
  let subscription: Subscription | undefined
  let steady: SteadyPublisher | undefined
  const handled = new Handled()

  const opened = (): Publisher => {
    if (publisher === undefined) throw new Error('the publisher was not opened')
    return publisher
  }

  serve({
    async openPublisher(place) {
      publisher = await peer.openPublisher(place)
    },
    async publish(range) {
      const { chunksInFlight } = peer
      await publishAll({ ...range, chunksInFlight }, async (from, to) => {
        const events: TimedEvent[] = []
        for (let i = from; i < to; i++) events.push(timedEventAt(i))
        await opened().publish(events)
      })
    },
    async sendPaced(pace) {
      return await sendPaced(pace, (from, to) => {
        const events: TimedEvent[] = []
        for (let i = from; i < to; i++) events.push(timedEventAt(i))
        return opened().publish(events)
      })
    },
    beginSteady({ perSecond, from }) {
      steady = new SteadyPublisher(opened(), perSecond, from)
      return Promise.resolve()
    },
    async endSteady() {
      if (steady === undefined) throw new Error('nothing is being published')
      return await steady.end()
    },

    async subscribe(place) {
      subscription = await peer.subscribe(place, (event) => handled.see(event))
    },
    async settled({ events }) {
      while (handled.different < events) await pause(LOOK_MS)
      while ((await subscription?.unsettled()) !== 0) await pause(LOOK_MS)
    },
    spread({ from }) {
      return Promise.resolve(spreadOf(handled.latenciesMs(from)))
    },
    async resumed({ afterUs, withinMs }) {
      const endMs = performance.now() + withinMs
      handled.lookForSentAfter(afterUs)
      while (handled.resumedUs === 0 && performance.now() < endMs) await pause(LOOK_MS)
      return { atUs: handled.resumedUs }
    },
    async missing({ sequences, withinMs }) {
      const endMs = performance.now() + withinMs
      const missing = (): number => sequences.filter((one) => !handled.has(one)).length
      while (missing() > 0 && performance.now() < endMs) await pause(LOOK_AGAIN_MS)
      return { events: missing(), handledTwice: handled.again }
    },
  } satisfies PeerProgram)
}
