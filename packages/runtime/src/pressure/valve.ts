import type { Core } from '../core.ts'
import { channels } from '../diagnostics.ts'
import type { MillraceError } from '../errors.ts'
import type { OutgoingEvent } from '../producer/encode.ts'
import type { ResolvedProducerOptions } from '../producer/options.ts'
import type { Sender } from '../producer/sender.ts'
import { Gate } from './gate.ts'
import type { PressurePolicy } from './options.ts'
import type { Pressure } from './pressure.ts'
import type { PressureWatch } from './watch.ts'

/** Stands between the calls of a producer and its sender, and does what the owner has chosen under pressure. */
export class Valve {
  readonly #streamName: string
  readonly #policy: PressurePolicy
  readonly #watch: PressureWatch
  readonly #sender: Sender
  /** Only where pressure is to delay. */
  readonly #gate: Gate<OutgoingEvent> | undefined

  constructor(
    core: Core,
    streamName: string,
    options: ResolvedProducerOptions,
    watch: PressureWatch,
    sender: Sender,
  ) {
    this.#streamName = streamName
    this.#policy = options.pressure.policy
    this.#watch = watch
    this.#sender = sender
    if (this.#policy !== 'delay') return
    const hasRoom = (): boolean => sender.unsent < options.maxInFlightEvents
    this.#gate = new Gate(core.clock, hasRoom, (events) => {
      for (const event of events) sender.offer(event)
    })
  }

  /** The pressure, or what is known of it, has changed. */
  turn({ level }: Pressure): void {
    const isPressed = level !== 'normal'
    this.#gate?.setRate(isPressed ? this.#watch.allowedPerSecond : Number.POSITIVE_INFINITY)
    if (this.#policy === 'spool') this.#sender.press(isPressed)
  }

  /**
   * Whether so many events may be published at all.
   * @throws MillraceError `PRESSURE`
   */
  assertWelcome(events: number): void {
    if (this.#policy !== 'reject' || this.#watch.pressure.level === 'normal') return
    const error = this.#watch.refusal()
    channels.publishFailed.publish({ stream: this.#streamName, events, error })
    throw error
  }

  /** Takes an event that is a call of its own. */
  offer(event: OutgoingEvent): void {
    if (this.#gate === undefined) this.#sender.offer(event)
    else this.offerAll([event])
  }

  /** Takes the events of one call; they go on together, in their turn. */
  offerAll(events: readonly OutgoingEvent[]): void {
    if (this.#gate !== undefined && !this.#gate.isOpen) {
      this.#gate.enter({ events, isGone: () => events[0]?.call.settled ?? true })
    } else for (const event of events) this.#sender.offer(event)
  }

  /** What a call fails with whose deadline has come; undefined when pressure is not the reason. */
  lateError(): MillraceError | undefined {
    if (this.#gate === undefined || this.#watch.pressure.level === 'normal') return undefined
    return this.#watch.refusal()
  }

  /** Lets go of events that were given up. */
  prune(): void {
    this.#gate?.prune()
  }

  stop(): void {
    this.#watch.stop()
    this.#gate?.stop()
  }
}
