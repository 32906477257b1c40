import type { Event, EventStream, Millrace, StartPosition } from '@millrace/runtime'
import { PollAdapterError } from '../errors.ts'
import {
  abortSignal,
  anObject,
  callable,
  optionProblems,
  text,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import { defaultBody, defaultData } from './message.ts'

export interface SqsClientOptions {
  /** The way to the streams behind the queues; it stays open when the client is closed. */
  readonly millrace: Millrace
  /**
   * The queues, by the `QueueUrl` that the consumers use or by the last part of its path, the name.
   * FIFO queues are refused: a consumer group hands events out without an order.
   */
  readonly queues: Readonly<Record<string, QueueOptions>>
  /** Closes the client when it fires, like `close()`. */
  readonly signal?: AbortSignal
}

/** The event stream and the consumer group that stand behind one queue. */
export interface QueueOptions {
  readonly stream: EventStream<never, unknown>
  /** The consumer group whose members share the messages. Each queue of a stream has its own. */
  readonly group: string
  /** Where the group begins when this client creates it. @defaultValue `'earliest'` */
  readonly from?: StartPosition
  /**
   * How long a received message stays invisible unless the receiver says otherwise, in seconds. Too
   * low: slow handlers get company. Too high: what a handler forgot comes back late.
   * @defaultValue 30, as SQS has it
   */
  readonly visibilityTimeoutSeconds?: number
  /**
   * How often a message is received before it becomes a dead letter of the group, like the
   * `maxReceiveCount` of a redrive policy. @defaultValue none: messages are redelivered for ever
   */
  readonly maxReceiveCount?: number
  /**
   * How many messages may be received and not yet deleted in this process; above it a receive is
   * answered with `OverLimit`.
   * @defaultValue 10_000
   */
  readonly maxInFlight?: number
  /**
   * After how long the messages of a process that died become visible again, in milliseconds, whatever
   * their visibility timeout. Too low: a stalled process loses its messages to others.
   * @defaultValue 4_000
   */
  readonly leaseMs?: number
  /** The body of a message. @defaultValue the data if it is a text, else its JSON */
  readonly body?: (event: Event) => string
  /** The data of an event that is sent as a message. @defaultValue JSON where it is JSON, else the text */
  readonly data?: (body: string) => unknown
}

export interface ResolvedQueueOptions {
  readonly url: string
  readonly stream: EventStream<never, unknown>
  readonly group: string
  readonly from: StartPosition
  readonly visibilityMs: number
  readonly maxReceiveCount: number | undefined
  readonly maxInFlight: number
  readonly leaseMs: number
  readonly body: (event: Event) => string
  readonly data: (body: string) => unknown
}

/** The longest that a message may stay invisible after a receive, in milliseconds. */
export const LONGEST_VISIBILITY_MS = 43_200_000

const defaults = Object.freeze({
  from: 'earliest',
  visibilityTimeoutSeconds: 30,
  maxInFlight: 10_000,
  leaseMs: 4_000,
  body: defaultBody,
  data: defaultData,
} as const)

/**
 * @throws PollAdapterError `OPTIONS_INVALID`, listing all problems; `FIFO_UNSUPPORTED`
 */
export function resolveQueues(options: SqsClientOptions): readonly ResolvedQueueOptions[] {
  const problems = optionProblems(options, {
    millrace: anObject,
    queues: anObject,
    signal: abortSignal,
  })
  if (options?.millrace === undefined) problems.push('millrace is missing')
  const queues = Object.entries(options?.queues ?? {})
  if (queues.length === 0) problems.push('queues must have at least one queue')
  for (const [url, queue] of queues) problems.push(...queueProblems(url, queue))
  throwProblems('SQS client', problems)
  const fifo = queues.map(([url]) => url).filter(isFifo)
  if (fifo.length > 0) throw fifoRefused(fifo.join(', '))
  return queues.map(([url, queue]) =>
    Object.freeze({
      url,
      stream: queue.stream,
      group: queue.group,
      from: queue.from ?? defaults.from,
      visibilityMs: (queue.visibilityTimeoutSeconds ?? defaults.visibilityTimeoutSeconds) * 1_000,
      maxReceiveCount: queue.maxReceiveCount,
      maxInFlight: queue.maxInFlight ?? defaults.maxInFlight,
      leaseMs: queue.leaseMs ?? defaults.leaseMs,
      body: queue.body ?? defaults.body,
      data: queue.data ?? defaults.data,
    }),
  )
}

/** Whether the name or URL is that of a FIFO queue. */
export function isFifo(queue: string): boolean {
  return queue.endsWith('.fifo')
}

function fifoRefused(queue: string): PollAdapterError {
  return new PollAdapterError(
    'FIFO_UNSUPPORTED',
    `${queue}: a consumer group hands messages out without an order, so FIFO queues are refused; ` +
      'use a standard queue, or a Consumer, which keeps the order of the stream',
    { name: queue },
  )
}

function queueProblems(url: string, queue: QueueOptions): string[] {
  const prefix = `queues[${url}].`
  const problems = optionProblems(
    queue,
    {
      stream: anObject,
      group: text,
      from: () => true,
      visibilityTimeoutSeconds: wholeNumber(0, LONGEST_VISIBILITY_MS / 1_000, 'seconds'),
      maxReceiveCount: wholeNumber(1, 1_000_000),
      maxInFlight: wholeNumber(1, 10_000, 'messages'),
      leaseMs: wholeNumber(500, 600_000, 'milliseconds'),
      body: callable,
      data: callable,
    },
    prefix,
  )
  if (queue?.stream === undefined) problems.push(`${prefix}stream is missing`)
  if (queue?.group === undefined) problems.push(`${prefix}group is missing`)
  return problems
}
