import { systemClock } from '../lifecycle/clock.ts'
import { onAbort } from '../lifecycle/signals.ts'
import { type SqsOutput, SqsActions } from './actions.ts'
import { resolveQueues, type SqsClientOptions } from './options.ts'
import { Queue } from './queue.ts'
import type { SqsInput } from './requests.ts'
import { SqsError } from './sqs-error.ts'
import { type SqsAction, sqsActions } from './sqs-shapes.ts'

/** A command object of the SQS client: all that counts are its class's name and its input. */
export interface SqsCommand {
  readonly input: object
}

export interface SqsSendOptions {
  readonly abortSignal?: AbortSignal
}

/** What a command answers: the API's fields, and the metadata that every answer of the SQS client has. */
export type SqsAnswer = SqsOutput & { readonly $metadata: { readonly httpStatusCode: number } }

const DEFAULT_DEADLINE_MS = 10_000

/**
 * A client for SQS whose queues are event streams: pass it wherever an `SQSClient` is expected, for
 * example as the `sqs` option of `sqs-consumer`. TypeScript wants to be told the class that it stands
 * in for: `createSqsClient<SQSClient>({ … })`.
 * @throws PollAdapterError `OPTIONS_INVALID`, listing all problems; `FIFO_UNSUPPORTED`
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- The caller names what it wants it to be.
export function createSqsClient<AwsClient = unknown>(
  options: SqsClientOptions,
): AwsClient & SqsClient {
  // The caller's own word that nothing else of that class is used.
  return new SqsClient(options) as AwsClient & SqsClient
}

/** Use {@link createSqsClient}. */
export class SqsClient implements AsyncDisposable {
  readonly #queues: readonly Queue[]
  readonly #actions: SqsActions
  #offSignal: () => void = () => undefined
  #closing: Promise<void> | undefined

  /** @internal */
  constructor(options: SqsClientOptions) {
    const resolved = resolveQueues(options)
    this.#queues = resolved.map((queue) => new Queue(options.millrace, queue, systemClock))
    this.#actions = new SqsActions(options.millrace, this.#queues)
    this.#offSignal = onAbort(options.signal, () => void this.close())
  }

  /**
   * Carries out a command object of the SQS client.
   * @throws SqsError like the SQS client does, or an `AbortError`
   */
  async send(command: SqsCommand, options: SqsSendOptions = {}): Promise<SqsAnswer> {
    const action = actionOf(command)
    const input = command.input as SqsInput
    const output = await this.#actions.perform(action, input, options.abortSignal)
    return { ...output, $metadata: { httpStatusCode: 200 } }
  }

  /**
   * Receives nothing more, waits until the deadline for what is in flight to be deleted, and makes the
   * rest visible to others. Stop the consumers first: they would ask on and on. Idempotent.
   */
  close(options: { readonly deadlineMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.deadlineMs ?? DEFAULT_DEADLINE_MS)
    return this.#closing
  }

  /** Like `close()` without waiting, as the SQS client has it. */
  destroy(): void {
    void this.close({ deadlineMs: 0 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#offSignal()
    await Promise.all(this.#queues.map((queue) => queue.close(deadlineMs)))
  }
}

/**
 * What a command object wants. Bundlers shorten the names of classes, so the name in the schema that
 * commands carry counts too.
 */
function actionOf(command: SqsCommand): SqsAction {
  const className = command.constructor.name.replace(/Command$/, '')
  const schema: unknown = Reflect.get(command, 'schema')
  const schemaName: unknown = Array.isArray(schema) ? schema[2] : undefined
  const action = sqsActions.find((known) => known === schemaName || known === className)
  if (action !== undefined) return action
  throw new SqsError(
    'UnsupportedOperation',
    `${typeof schemaName === 'string' ? schemaName : className} is not supported (supported: ${sqsActions.join(', ')})`,
  )
}
