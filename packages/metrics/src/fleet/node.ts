import { Redis, type RedisOptions } from 'ioredis'
import { expectedMicros, lotsOf } from './courtesy.ts'
import { type Failure, failureOf } from './failure.ts'

export type Command = readonly [name: string, ...args: readonly (number | string)[]]

/** Counts what is sent. */
export interface Meter {
  commands: number
}

/** What all connections have in common. */
export interface Manner {
  readonly clientName: string
  /** For so long a server may be busy with what is sent at once. */
  readonly maxBusyMicros: number
  readonly meter: Meter
}

export type Reply<Value = unknown> =
  | { readonly value: Value; readonly failure?: never }
  | { readonly failure: Failure; readonly error: unknown; readonly value?: never }

/** How long a server may take to accept a connection, and to answer, in milliseconds. */
const CONNECT_TIMEOUT_MS = 2_000
const REPLY_TIMEOUT_MS = 4_000

/** How many lots in a row may fail for want of a connection. */
const MOST_CUT = 2

/** One server that streams are read from. It connects when it is asked, and again when it is asked next. */
export class FleetNode {
  readonly name: string
  readonly #options: Omit<RedisOptions, 'replyMapping'>
  readonly #maxBusyMicros: number
  #client: Redis | undefined
  #connecting: Promise<Redis> | undefined
  readonly #meter: Meter

  constructor(name: string, options: RedisOptions, { clientName, maxBusyMicros, meter }: Manner) {
    this.name = name
    this.#meter = meter
    this.#maxBusyMicros = maxBusyMicros
    this.#options = {
      ...options,
      lazyConnect: true,
      connectionName: clientName,
      connectTimeout: CONNECT_TIMEOUT_MS,
      // Notices a half-open connection; it runs only while an answer is awaited.
      socketTimeout: REPLY_TIMEOUT_MS,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      // The next scrape connects again.
      retryStrategy: () => null,
      sentinelRetryStrategy: () => null,
      sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
      enableReadyCheck: false,
      disableClientInfo: true,
      noDelay: true,
    }
  }

  /**
   * Runs commands in order, one lot at a time, and other clients between two. Never rejects; after the signal
   * nothing more is sent.
   * @param microsOf how long the command of that index is going to keep the server busy
   */
  run(
    commands: readonly Command[],
    signal: AbortSignal,
    microsOf: (command: Command, index: number) => number = expectedMicros,
  ): Promise<Reply[]> {
    return this.runAndRead(commands, signal, (value) => value, microsOf)
  }

  /** Likewise, and makes something of each value while the server works on the next lot. */
  async runAndRead<Value>(
    commands: readonly Command[],
    signal: AbortSignal,
    read: (value: unknown) => Value,
    microsOf: (command: Command, index: number) => number = expectedMicros,
  ): Promise<Reply<Value>[]> {
    const replies: Reply<Value>[] = []
    const take = (lot: readonly Reply[]): void => {
      for (const reply of lot)
        replies.push(reply.failure === undefined ? { value: read(reply.value) } : reply)
    }
    let lot: readonly Reply[] = []
    let cut = 0
    for (const { from, to } of lotsOf(commands.map(microsOf), this.#maxBusyMicros)) {
      const next = this.#runTogether(commands.slice(from, to), signal)
      take(lot)
      lot = await next
      const last = lot.at(-1)
      cut = last?.failure === 'connection' ? cut + 1 : 0
      // A connection that was cut is made again for the next lot. A server that has gone is not tried for each.
      if (last?.failure !== 'connection' || cut < MOST_CUT) continue
      take([...lot, ...commands.slice(to).map(() => last)])
      return replies
    }
    take(lot)
    return replies
  }

  async one(command: Command, signal: AbortSignal): Promise<Reply> {
    const [reply] = await this.run([command], signal)
    return reply ?? { failure: 'other', error: undefined }
  }

  close(): void {
    const client = this.#client
    this.#client = undefined
    if (client !== undefined) disconnect(client)
    void this.#connecting?.then(disconnect, () => undefined)
  }

  async #runTogether(commands: readonly Command[], signal: AbortSignal): Promise<Reply[]> {
    const all = (failure: Failure, error: unknown): Reply[] =>
      commands.map(() => ({ failure, error }))
    if (signal.aborted) return all('deadline', signal.reason)
    try {
      const answers = await unlessAborted(this.#exec(commands), signal)
      return answers.map(([error, value]) =>
        error === null ? { value } : { failure: failureOf(error), error },
      )
    } catch (error) {
      return all(signal.aborted ? 'deadline' : failureOf(error), error)
    }
  }

  async #exec(commands: readonly Command[]): Promise<[error: Error | null, value: unknown][]> {
    // Sent at once where that is possible, before the caller turns to anything else.
    const client = this.#client?.status === 'ready' ? this.#client : await this.#connected()
    this.#meter.commands += commands.length
    const pipeline = client.pipeline()
    for (const [name, ...args] of commands) pipeline.call(name, ...args)
    return (await pipeline.exec()) ?? []
  }

  #connected(): Promise<Redis> {
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #connect(): Promise<Redis> {
    const client = new Redis({
      ...this.#options,
      // The shapes of RESP2 on either protocol.
      replyMapping: 'legacy',
    })
    let lastError: unknown
    client.on('error', (error: unknown) => {
      lastError = error
    })
    try {
      this.#meter.commands += 1
      await client.connect()
      // A refused login shows only at the first command; this one everybody may run who may do anything here.
      await client.call('time')
    } catch (error) {
      disconnect(client)
      throw failureOf(error) === 'connection' ? (lastError ?? error) : error
    }
    this.#client = client
    return client
  }
}

/** For a socket that has closed already, the client would start a timer that keeps the process. */
function disconnect(client: Redis): void {
  if (client.status !== 'close' && client.status !== 'end') client.disconnect()
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => {
    reject(signal.reason instanceof Error ? signal.reason : new Error('the scrape is over'))
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
