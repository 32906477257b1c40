import { StreamAdmin } from './admin/stream-admin.ts'
import {
  type ConnectOptions,
  type RedisAddress,
  resolveConnectOptions,
} from './connection/options.ts'
import { Consumer } from './consumer/consumer.ts'
import { type ConsumerOptions, resolveConsumerOptions } from './consumer/options.ts'
import { Pulse } from './consumer/pulse.ts'
import { type Core, createCore, type StreamLike } from './core.ts'
import { DeadLetters } from './dead-letters/dead-letters.ts'
import { type DoctorOptions, type DoctorReport, examineServer } from './doctor/doctor.ts'
import { MillraceError } from './errors.ts'
import { type ClockOffset, measureClockOffset } from './health/clock-offset.ts'
import { type Health, judgeHealth } from './health/health.ts'
import type { ReadHealth } from './health/read-health.ts'
import { Extension } from './extension/extension.ts'
import { ConsumerGroup } from './group/group.ts'
import type { GroupOptions } from './group/options.ts'
import { inspectStream, type StreamReport } from './inspect/inspect.ts'
import { onAbort } from './lifecycle/signals.ts'
import type {
  DirectProducerOptions,
  ProducerOptions,
  PublishManyOptions,
  PublishOptions,
  PublishResult,
  StoredInStream,
} from './producer/options.ts'
import { Producer } from './producer/producer.ts'
import { type ReaderOptions, resolveReaderOptions } from './reader/options.ts'
import { Reader } from './reader/reader.ts'
import { Janitor } from './retention/janitor.ts'
import { removeReader, type RemoveOptions } from './retention/remove.ts'
import type { EventStream } from './stream/define-stream.ts'
import { Tails } from './tail/tails.ts'

/** Anything that has to be closed before the connections are. */
interface Closable {
  close(options?: { readonly deadlineMs?: number }): Promise<unknown>
  /** Of those that read. */
  health?(): ReadHealth
}

/**
 * Connects to Redis and makes sure that the server is one that Millrace can work with.
 * @throws MillraceError `OPTIONS_INVALID`, `UNAVAILABLE`, `AUTH_FAILED`, `PERMISSION_DENIED`,
 * `SERVER_UNSUPPORTED`
 */
export async function connect(
  address: RedisAddress,
  options: ConnectOptions = {},
): Promise<Millrace> {
  const core = createCore(resolveConnectOptions(address, options))
  try {
    await core.connections.session('data', 'connect', { signal: options.signal })
  } catch (error) {
    core.connections.close()
    throw error
  }
  return new Millrace(core)
}

/** The way to all event streams of one Redis; everything made here shares its few connections. */
export class Millrace {
  readonly #core: Core
  readonly #tails: Tails
  readonly #janitor: Janitor
  readonly #pulses = new Map<string, Pulse>()
  /** Default producers, each under the stream definition that it was made for. */
  readonly #producers = new Map<object, Producer<unknown>>()
  readonly #open = new Set<Closable>()
  /** What has stopped by itself, by kind, stream and name. */
  readonly #stopped = new Map<string, ReadHealth>()
  readonly #closed = Promise.withResolvers<void>()
  /** A signal that has fired before closes from within the constructor, so there is one already then. */
  #offSignal: () => void = () => undefined
  #closing: Promise<void> | undefined

  /** Use {@link connect}. @internal */
  constructor(core: Core) {
    this.#core = core
    this.#tails = new Tails(core)
    this.#janitor = new Janitor(core)
    this.#offSignal = onAbort(core.options.signal, () => void this.close())
  }

  /** Resolves when everything that `close` does is done. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** How many connections are open, by purpose. */
  get connections(): Readonly<Record<string, number>> {
    return this.#core.connections.count()
  }

  /**
   * What is read here, since when Redis has last confirmed that, and why not: for probes of readiness and
   * liveness. Looks only at what is known already, and sends nothing. What was closed is no part of it; what
   * has stopped by itself stays, until something of its name is made anew.
   */
  health(): Health {
    const open = [...this.#open].flatMap((one) => one.health?.() ?? [])
    const reads = [...open, ...this.#stopped.values()]
    const isOpen = this.#closing === undefined
    const { address, blockMs } = this.#core.options
    const isCluster = address.kind === 'cluster'
    return judgeHealth(reads, this.connections, { isOpen, isCluster, blockMs })
  }

  /**
   * How far this machine's clock is ahead of Redis', by which ids tell when an event was stored.
   * @throws MillraceError `UNAVAILABLE`, `CLOSED`
   */
  clockOffset(options: { readonly signal?: AbortSignal } = {}): Promise<ClockOffset> {
    return measureClockOffset(this.#core, options.signal)
  }

  /**
   * Publishes one event, or an array of events with the results in order, through a producer with
   * default options that all calls for one stream definition share.
   * @throws MillraceError see {@link Producer.publish}
   */
  publish<Input>(
    stream: EventStream<Input, unknown>,
    data: readonly Input[],
    options?: PublishManyOptions,
  ): Promise<StoredInStream[]>
  publish<Input>(
    stream: EventStream<Input, unknown>,
    data: Input,
    options?: PublishOptions,
  ): Promise<StoredInStream>
  publish<Input>(
    stream: EventStream<Input, unknown>,
    data: Input | readonly Input[],
    options?: PublishManyOptions | PublishOptions,
  ): Promise<StoredInStream | StoredInStream[]> {
    const producer = this.#defaultProducer(stream)
    return Array.isArray(data)
      ? producer.publishMany(data as readonly Input[], options)
      : producer.publish(data as Input, options)
  }

  /** A producer of its own, for options; with a spool its results may say `spool`. */
  producer<Input>(
    stream: EventStream<Input, unknown>,
    options?: DirectProducerOptions,
  ): Producer<Input>
  producer<Input>(
    stream: EventStream<Input, unknown>,
    options: ProducerOptions,
  ): Producer<Input, PublishResult>
  producer<Input>(
    stream: EventStream<Input, unknown>,
    options: ProducerOptions = {},
  ): Producer<Input, PublishResult> {
    this.#assertOpen()
    return this.#track(
      new Producer<Input, PublishResult>(this.#core, stream, options),
      this.#janitor.hold(stream, true),
    )
  }

  /** Reads from a position that the caller keeps; iterate it with `for await`. */
  reader<Data>(stream: EventStream<never, Data>, options: ReaderOptions = {}): Reader<Data> {
    this.#assertOpen()
    const resolved = resolveReaderOptions(options)
    return this.#track(new Reader<Data>(this.#core, this.#tails, stream, resolved))
  }

  /** Every event, in order, under a name whose position Redis keeps. */
  consumer<Data>(stream: EventStream<never, Data>, options: ConsumerOptions): Consumer<Data> {
    this.#assertOpen()
    const resolved = resolveConsumerOptions(options)
    return this.#track(
      new Consumer<Data>(this.#core, this.#tails, this.#pulse(stream), stream, resolved),
      this.#janitor.hold(stream, false),
    )
  }

  /** Each event to one of the members of a group. */
  consumerGroup<Data>(
    stream: EventStream<never, Data>,
    options: GroupOptions,
  ): ConsumerGroup<Data> {
    this.#assertOpen()
    return this.#track(
      new ConsumerGroup<Data>(this.#core, stream, options),
      this.#janitor.hold(stream, false),
    )
  }

  /** What a consumer or consumer group has given up, and the way back. */
  deadLetters<Data>(stream: EventStream<never, Data>, name: string): DeadLetters<Data> {
    this.#assertOpen()
    return new DeadLetters(this.#core, stream, name)
  }

  /**
   * For other packages of Millrace: keys of their own beside a stream, scripts over them, elections, and
   * appending in one step with their own records.
   */
  extension<Input>(stream: EventStream<Input, unknown>, packageName: string): Extension<Input> {
    this.#assertOpen()
    const hold = (): (() => void) => this.#janitor.hold(stream, true)
    return this.#track(new Extension<Input>(this.#core, stream, packageName, hold))
  }

  /** For whoever looks after a stream: create, pause, trim, reset, replay, delete. */
  admin(stream: EventStream<never, unknown>): StreamAdmin {
    this.#assertOpen()
    return new StreamAdmin(this.#core, stream)
  }

  /** The truth about a stream and everyone who reads it: positions, lag, holders, members. */
  inspect(
    stream: EventStream<never, unknown>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<StreamReport> {
    this.#assertOpen()
    return inspectStream(this.#core, stream, options.signal)
  }

  /** Looks at the server: whether it keeps what it is given, has room, and allows what is needed. */
  doctor({
    durability,
    signal,
  }: Pick<DoctorOptions, 'durability' | 'signal'> = {}): Promise<DoctorReport> {
    this.#assertOpen()
    return examineServer(this.#core, { durability, signal })
  }

  /**
   * Removes a consumer: its position, its image, and with that every reason to keep events for it. Where
   * somebody holds the name, it takes one lease to see whether that one is alive. Answers whether there was
   * such a consumer.
   * @throws MillraceError `NAME_IN_USE` when it is at work, or is a consumer group
   */
  removeConsumer(
    stream: EventStream<never, unknown>,
    name: string,
    options: RemoveOptions = {},
  ): Promise<boolean> {
    this.#assertOpen()
    return removeReader(this.#core, stream, name, 'consumer', options)
  }

  /** Removes a consumer group with what is pending in it, like {@link removeConsumer}. */
  removeConsumerGroup(
    stream: EventStream<never, unknown>,
    name: string,
    options: RemoveOptions = {},
  ): Promise<boolean> {
    this.#assertOpen()
    return removeReader(this.#core, stream, name, 'group', options)
  }

  /**
   * Closes everything that was made here, consumers and readers before producers, then the
   * connections. Idempotent.
   */
  close(options: { readonly deadlineMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(options: { readonly deadlineMs?: number }): Promise<void> {
    this.#offSignal()
    const problems: unknown[] = []
    const settle = async (closables: Iterable<Closable>): Promise<void> => {
      const results = await Promise.allSettled([...closables].map((one) => one.close(options)))
      for (const result of results) if (result.status === 'rejected') problems.push(result.reason)
    }
    // Handlers may publish until the end, so producers outlive consumers.
    const producers = [...this.#open].filter((one) => one instanceof Producer)
    await settle([...this.#open].filter((one) => !(one instanceof Producer)))
    await settle(producers)
    this.#janitor.close()
    await this.#tails.close()
    this.#core.downloads.close()
    this.#core.connections.close()
    this.#closed.resolve()
    if (problems.length > 0) throw new AggregateError(problems, 'Closing Millrace met errors')
  }

  #defaultProducer<Input>(stream: EventStream<Input, unknown>): Producer<Input> {
    this.#assertOpen()
    const known = this.#producers.get(stream)
    // The map gives back what was made for this very definition, so its input type is the same.
    if (known !== undefined) return known
    const producer = this.#track(
      new Producer<Input>(this.#core, stream, {}),
      this.#janitor.hold(stream, true),
    )
    this.#producers.set(stream, producer as unknown as Producer<unknown>)
    return producer
  }

  #pulse(stream: StreamLike): Pulse {
    const keys = this.#core.keysOf(stream)
    let pulse = this.#pulses.get(keys.stream)
    if (pulse === undefined) this.#pulses.set(keys.stream, (pulse = new Pulse(this.#core, keys)))
    return pulse
  }

  /** @param release is called when it is closed */
  #track<T extends Closable & { readonly closed: Promise<void> }>(
    closable: T,
    release?: () => void,
  ): T {
    this.#open.add(closable)
    const { kind, stream, name } = closable.health?.() ?? { kind: '', stream: '', name: '' }
    const key = [kind, stream, name].join('\0')
    this.#stopped.delete(key)
    const forget = (): void => {
      const health = closable.health?.()
      if (health?.state === 'stopped') this.#stopped.set(key, health)
      this.#open.delete(closable)
      release?.()
    }
    void closable.closed.then(forget, forget)
    return closable
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new MillraceError('CLOSED', 'Millrace was closed')
  }
}
