import { randomBytes } from 'node:crypto'
import {
  type ConsumerGroup,
  type Event,
  type GroupDeliveryContext,
  type GroupReport,
  type Millrace,
  UnrecoverableError,
} from '@millrace/runtime'
import type { Clock } from '../lifecycle/clock.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import type { Delivered } from './message.ts'
import type { ResolvedQueueOptions } from './options.ts'
import { type Receiver, type ReceiveRequest, Receivers } from './receiver.ts'
import { Receipts } from './receipts.ts'
import { aborted, SqsError } from './sqs-error.ts'

/** How long a receive that does not want to wait looks for messages. */
const SHORT_POLL_MS = 100

/** How long Redis may take to answer what cannot be answered without it. */
const PATIENCE_MS = 10_000

/** How long a receive that failed at once takes nevertheless. */
const FAILURE_PAUSE_MS = 1_000

/** Without a redrive policy a message is redelivered for as long as the stream keeps it. */
const MOST_RECEIVES = 1_000_000

/** A failed delivery is visible again at once: the wait was its visibility timeout. */
const AT_ONCE = Object.freeze({ firstMs: 1, greatestMs: 1, factor: 1, jitter: 0 })

/** How many messages that came back are remembered for the time of their first receive. */
const FIRST_RECEIVES_KEPT = 10_000

/**
 * One queue: a member of a consumer group that takes events only as far as receives wait for them. A
 * delivery lasts from the receive until the message is deleted, which is success, or its time is up,
 * which is a failed attempt that is tried again at once; so receives are counted as attempts.
 */
export class Queue {
  readonly options: ResolvedQueueOptions
  readonly #millrace: Millrace
  readonly #clock: Clock
  readonly #receipts: Receipts
  readonly #receivers = new Receivers()
  /** When messages were received first that came back since. */
  readonly #firstReceives = new Map<string, number>()
  #group: ConsumerGroup<unknown> | undefined
  /** Why the last group stopped, until a receive has said so. */
  #failure: Error | undefined
  #closing: Promise<void> | undefined

  constructor(millrace: Millrace, options: ResolvedQueueOptions, clock: Clock) {
    this.#millrace = millrace
    this.options = options
    this.#clock = clock
    this.#receipts = new Receipts(clock)
  }

  /**
   * Waits until there is at least one message, at most so long; the answer may be empty.
   * @throws SqsError `OverLimit`, `ServiceUnavailable`
   */
  async receive(
    request: ReceiveRequest,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly Delivered[]> {
    if (signal?.aborted === true) throw aborted(signal)
    if (this.#receipts.size >= this.options.maxInFlight) {
      throw new SqsError(
        'OverLimit',
        `${this.#receipts.size} messages of ${this.options.url} are in flight in this process`,
      )
    }
    const group = await this.#ready(signal)
    return await this.#wait(group, request, Math.max(waitMs, SHORT_POLL_MS), signal)
  }

  /** @throws SqsError `ReceiptHandleIsInvalid`, `ServiceUnavailable` */
  delete(handle: string, signal: AbortSignal | undefined): Promise<void> {
    return this.#within(this.#receipts.delete(handle), signal)
  }

  /** @throws SqsError `MessageNotInflight`, `InvalidParameterValue` */
  changeVisibility(handle: string, visibilityMs: number): void {
    this.#receipts.changeVisibility(handle, visibilityMs)
  }

  /** The group behind the queue; undefined before anybody has received anything. */
  async report(signal: AbortSignal | undefined): Promise<GroupReport | undefined> {
    const { stream, group } = this.options
    const report = await this.#millrace.inspect(stream, signal === undefined ? {} : { signal })
    return report.groups.find(({ name }) => name === group)
  }

  /**
   * Answers the receives that wait with nothing, and waits for what is in flight to be deleted; what is
   * left at the deadline is visible again to others. Idempotent.
   */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(deadlineMs)
    return this.#closing
  }

  async #ready(signal: AbortSignal | undefined): Promise<ConsumerGroup<unknown>> {
    try {
      if (this.#failure !== undefined) throw this.#failure
      const group = this.#member()
      await this.#within(group.ready, signal)
      return group
    } catch (error) {
      this.#failure = undefined
      // A consumer that asks again at once must not become a storm.
      await pause(this.#clock, FAILURE_PAUSE_MS, signal)
      throw error
    }
  }

  #member(): ConsumerGroup<unknown> {
    if (this.#closing !== undefined) {
      throw new SqsError('ServiceUnavailable', `The client of ${this.options.url} was closed`)
    }
    if (this.#group !== undefined) return this.#group
    const { stream, group: name, from, leaseMs, maxInFlight, maxReceiveCount } = this.options
    const group = this.#millrace.consumerGroup(stream, {
      name,
      from,
      leaseMs,
      take: 'on-demand',
      concurrency: maxInFlight,
      maxParked: maxInFlight,
      // What is in flight is bounded by number; its payloads are no longer held here.
      maxInFlightBytes: 4_294_967_296,
      // Times run out here, not there.
      handlerTimeoutMs: 86_400_000,
      maxAttempts: maxReceiveCount ?? MOST_RECEIVES,
      backoff: AT_ONCE,
    })
    group.start((event, context) => this.#deliver(event, context))
    this.#group = group
    const ended = (): void => {
      // The next receive becomes a member anew, and meets whatever was wrong if it still is.
      if (this.#group === group) this.#group = undefined
      this.#receipts.releaseAll()
      this.#receivers.finishAll()
    }
    group.done.then(ended, (error: Error) => {
      this.#failure = error
      ended()
    })
    return group
  }

  #wait(
    group: ConsumerGroup<unknown>,
    request: ReceiveRequest,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly Delivered[]> {
    if (signal?.aborted === true) return Promise.reject(aborted(signal))
    if (group.state !== 'running') return Promise.resolve([])
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        cancel()
        off()
        this.#receivers.remove(receiver)
        this.#ask()
      }
      const receiver: Receiver = {
        request,
        messages: [],
        finish: () => {
          leave()
          resolve(receiver.messages)
        },
      }
      const cancel = this.#clock.after(waitMs, () => {
        receiver.finish()
      })
      const off = onAbort(signal, () => {
        leave()
        // Nobody will hear of these.
        for (const { receiptHandle } of receiver.messages) this.#receipts.release(receiptHandle)
        if (signal !== undefined) reject(aborted(signal))
      })
      this.#receivers.add(receiver)
      this.#ask()
    })
  }

  #ask(): void {
    if (this.#group?.state === 'running') this.#group.ask(this.#receivers.wanted)
  }

  #deliver(event: Event, context: GroupDeliveryContext): Promise<void> {
    const receiver = this.#receivers.next
    // It was asked for by a receive that has gone meanwhile; it goes to the next one.
    if (receiver === undefined) return Promise.reject(new VisibleAgain())
    let body: string
    try {
      body = this.options.body(event)
      if (typeof body !== 'string') throw new TypeError(`the body is no text but ${typeof body}`)
    } catch (error) {
      // It would fail each time, and keep what was received with it from being answered.
      return Promise.reject(
        new UnrecoverableError(`No message can be made of event ${event.id}`, { cause: error }),
      )
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const nowMs = this.#clock.wallMs()
    const firstReceiveMs = this.#firstReceives.get(event.id) ?? nowMs
    const receiptHandle = `${event.id}.${randomBytes(12).toString('hex')}`
    const { confirmed } = context
    this.#receivers.give(receiver, {
      event,
      body,
      receiptHandle,
      receiveCount: context.attempt,
      firstReceiveMs,
    })
    this.#receipts.issue(
      {
        handle: receiptHandle,
        id: event.id,
        receivedMs: this.#clock.monotonicMs(),
        confirmed,
        settle: resolve,
        release: () => {
          this.#rememberFirst(event.id, firstReceiveMs)
          reject(new VisibleAgain())
        },
      },
      receiver.request.visibilityMs,
    )
    void confirmed.then((isDone) => {
      if (isDone) this.#firstReceives.delete(event.id)
    })
    return promise
  }

  #rememberFirst(id: string, firstMs: number): void {
    this.#firstReceives.set(id, firstMs)
    if (this.#firstReceives.size <= FIRST_RECEIVES_KEPT) return
    for (const oldest of this.#firstReceives.keys()) {
      this.#firstReceives.delete(oldest)
      break
    }
  }

  /** Settles like the promise, unless that takes longer than Redis may. */
  async #within<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { promise: stopped, reject } = Promise.withResolvers<never>()
    const off = onAbort(signal, () => {
      if (signal !== undefined) reject(aborted(signal))
    })
    const cancel = this.#clock.after(PATIENCE_MS, () => {
      reject(new SqsError('ServiceUnavailable', `Redis has not answered for ${PATIENCE_MS} ms`))
    })
    try {
      return await Promise.race([promise, stopped])
    } finally {
      cancel()
      off()
      promise.catch(() => undefined)
      stopped.catch(() => undefined)
    }
  }

  async #close(deadlineMs: number): Promise<void> {
    const group = this.#group
    this.#receivers.finishAll()
    const over = new AbortController()
    await Promise.race([this.#receipts.emptied(), pause(this.#clock, deadlineMs, over.signal)])
    over.abort()
    this.#receipts.releaseAll()
    await group?.close({ deadlineMs: CLOSE_MS })
  }
}

/** What is released is written within this time, or the lease runs out instead. */
const CLOSE_MS = 1_000

/** Why a delivery counts as failed. */
class VisibleAgain extends Error {
  constructor() {
    super('The message was not deleted before its visibility timeout ended')
  }
}
