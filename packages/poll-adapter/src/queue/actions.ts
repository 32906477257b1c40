import type { EventStream, Millrace } from '@millrace/runtime'
import { headersOf, toMessage } from './message.ts'
import { digestOfAttributes, digestOfBody } from './message-digests.ts'
import { isFifo } from './options.ts'
import type { Queue } from './queue.ts'
import {
  attributesOf,
  type BatchEntry,
  batchOf,
  requiredText,
  type SqsInput,
  textsOf,
  visibilityMsOf,
  wholeNumberOf,
} from './requests.ts'
import { SqsError, toSqsError } from './sqs-error.ts'
import type { SqsAction, SqsBatchFailure, SqsBatchResult } from './sqs-shapes.ts'

/** What an action answers, in the API's own names. */
export type SqsOutput = Readonly<Record<string, unknown>>

/** The longest that a receive may wait, in seconds. */
const LONGEST_WAIT_SECONDS = 20

/**
 * The SQS API over queues: plain requests in, plain answers out. It knows nothing of any client, so that
 * the same can stand behind a client object or behind the wire.
 */
export class SqsActions {
  readonly #millrace: Millrace
  readonly #queues: readonly Queue[]

  constructor(millrace: Millrace, queues: readonly Queue[]) {
    this.#millrace = millrace
    this.#queues = queues
  }

  /** @throws SqsError, or an `AbortError` when the signal fires */
  async perform(
    action: SqsAction,
    input: SqsInput,
    signal: AbortSignal | undefined,
  ): Promise<SqsOutput> {
    try {
      return await this.#perform(action, input, signal)
    } catch (error) {
      throw toSqsError(error)
    }
  }

  #perform(
    action: SqsAction,
    input: SqsInput,
    signal: AbortSignal | undefined,
  ): Promise<SqsOutput> | SqsOutput {
    if (action === 'GetQueueUrl') {
      return { QueueUrl: this.#queue(requiredText(input, 'QueueName')).options.url }
    }
    const queue = this.#queue(requiredText(input, 'QueueUrl'))
    switch (action) {
      case 'ReceiveMessage':
        return this.#receive(queue, input, signal)
      case 'DeleteMessage':
        return this.#delete(queue, input, signal)
      case 'DeleteMessageBatch':
        return this.#batch(input, (entry) => this.#delete(queue, entry.input, signal))
      case 'ChangeMessageVisibility':
        return this.#changeVisibility(queue, input)
      case 'ChangeMessageVisibilityBatch':
        return this.#batch(input, (entry) => this.#changeVisibility(queue, entry.input))
      case 'SendMessage':
        return this.#send(queue, input, signal)
      case 'SendMessageBatch':
        return this.#batch(input, (entry) => this.#send(queue, entry.input, signal))
      case 'GetQueueAttributes':
        return this.#attributes(queue, input, signal)
      default:
        throw new SqsError('InvalidAction', `${String(action satisfies never)} is not supported`)
    }
  }

  async #receive(
    queue: Queue,
    input: SqsInput,
    signal: AbortSignal | undefined,
  ): Promise<SqsOutput> {
    const max = wholeNumberOf(input, 'MaxNumberOfMessages', 1, 10) ?? 1
    const waitMs = (wholeNumberOf(input, 'WaitTimeSeconds', 0, LONGEST_WAIT_SECONDS) ?? 0) * 1_000
    const visibilityMs = visibilityMsOf(input) ?? queue.options.visibilityMs
    const selection = {
      system: textsOf(input, 'AttributeNames', 'MessageSystemAttributeNames'),
      message: textsOf(input, 'MessageAttributeNames'),
    }
    const delivered = await queue.receive({ max, visibilityMs }, waitMs, signal)
    if (delivered.length === 0) return {}
    return { Messages: delivered.map((one) => toMessage(one, selection)) }
  }

  async #delete(
    queue: Queue,
    input: SqsInput,
    signal: AbortSignal | undefined,
  ): Promise<SqsOutput> {
    await queue.delete(requiredText(input, 'ReceiptHandle'), signal)
    return {}
  }

  #changeVisibility(queue: Queue, input: SqsInput): SqsOutput {
    const handle = requiredText(input, 'ReceiptHandle')
    const visibilityMs = visibilityMsOf(input)
    if (visibilityMs === undefined) {
      throw new SqsError('MissingParameter', 'The request must contain VisibilityTimeout')
    }
    queue.changeVisibility(handle, visibilityMs)
    return {}
  }

  async #send(
    queue: Queue,
    input: SqsInput,
    signal: AbortSignal | undefined,
  ): Promise<Readonly<Record<string, string>>> {
    const body = requiredText(input, 'MessageBody')
    if ((wholeNumberOf(input, 'DelaySeconds', 0, 900) ?? 0) > 0) {
      throw new SqsError('UnsupportedOperation', 'Messages cannot be delayed')
    }
    for (const name of ['MessageDeduplicationId', 'MessageGroupId']) {
      if (input[name] !== undefined) {
        throw new SqsError('UnsupportedOperation', `${name} is for FIFO queues`)
      }
    }
    const attributes = attributesOf(input)
    // Whatever goes in is validated when it is published.
    const stream = queue.options.stream as EventStream<unknown, unknown>
    const { id } = await this.#millrace.publish(stream, queue.options.data(body), {
      headers: headersOf(attributes),
      ...(signal !== undefined && { signal }),
    })
    const digest = digestOfAttributes(attributes)
    return {
      MessageId: id,
      MD5OfMessageBody: digestOfBody(body),
      ...(digest !== undefined && { MD5OfMessageAttributes: digest }),
    }
  }

  async #attributes(
    queue: Queue,
    input: SqsInput,
    signal: AbortSignal | undefined,
  ): Promise<SqsOutput> {
    const wanted = textsOf(input, 'AttributeNames')
    const { visibilityMs, maxReceiveCount, stream } = queue.options
    const report = await queue.report(signal)
    const all: Record<string, string> = {
      ApproximateNumberOfMessages: String(report?.lag.events ?? 0),
      ApproximateNumberOfMessagesNotVisible: String(report?.pending ?? 0),
      ApproximateNumberOfMessagesDelayed: '0',
      VisibilityTimeout: String(visibilityMs / 1_000),
      MaximumMessageSize: String(stream.limits.maxPayloadBytes),
      MessageRetentionPeriod: String(Math.round(stream.retention.maxAgeMs / 1_000)),
      ...(maxReceiveCount !== undefined && { RedrivePolicy: JSON.stringify({ maxReceiveCount }) }),
    }
    const chosen = Object.entries(all).filter(
      ([name]) => wanted.includes('All') || wanted.includes(name),
    )
    return { Attributes: Object.fromEntries(chosen) }
  }

  /** Each entry by itself: one that fails does not keep the others from succeeding. */
  async #batch(
    input: SqsInput,
    perform: (entry: BatchEntry) => Promise<SqsOutput> | SqsOutput,
  ): Promise<SqsOutput> {
    const entries = batchOf(input)
    const results = await Promise.allSettled(
      entries.map(async (entry) => ({ ...(await perform(entry)), Id: entry.id })),
    )
    const Successful: { Id: string }[] = []
    const Failed: SqsBatchFailure[] = []
    for (const [i, result] of results.entries()) {
      if (result.status === 'fulfilled') Successful.push(result.value)
      else Failed.push(failure(entries[i]?.id ?? '', result.reason))
    }
    const answer: SqsBatchResult = { Successful, Failed }
    return { ...answer }
  }

  #queue(urlOrName: string): Queue {
    if (isFifo(urlOrName)) {
      throw new SqsError(
        'UnsupportedOperation',
        `${urlOrName}: FIFO queues are not supported, because a consumer group has no order`,
      )
    }
    const name = nameOf(urlOrName)
    const queue =
      this.#queues.find(({ options }) => options.url === urlOrName) ??
      this.#queues.find(({ options }) => options.url === name) ??
      (urlOrName === name
        ? this.#queues.find(({ options }) => nameOf(options.url) === name)
        : undefined)
    if (queue !== undefined) return queue
    throw new SqsError('QueueDoesNotExist', `${urlOrName} is not among the queues of this client`)
  }
}

/** The last part of a queue's URL. */
function nameOf(url: string): string {
  return url.slice(url.lastIndexOf('/') + 1)
}

function failure(id: string, reason: unknown): SqsBatchFailure {
  const error = toSqsError(reason)
  return {
    Id: id,
    Code: error.name,
    Message: error.message,
    SenderFault: error instanceof SqsError && error.$fault === 'client',
  }
}
