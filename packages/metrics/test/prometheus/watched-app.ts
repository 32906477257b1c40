import { channel } from 'node:diagnostics_channel'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, type Consumer, defineStream, type Millrace } from '@millrace/runtime'
import { Registry } from 'prom-client'
import { recordMetrics } from '../../src/index.ts'
import { pollChannelNames } from '../../src/process/watch-polling.ts'

interface Reading {
  readonly n: number
}

const flights = defineStream<Reading>('flights')
/** Whoever does not handle these within two seconds has lost them. */
const parcels = defineStream<Reading>('parcels', { retention: { maxAgeMs: 2_000 } })
const orders = defineStream<Reading>('orders')

const TICK_MS = 40

/** A program as users write it, whose consumers can be made to fail in every way that an alert is about. */
export class WatchedApp implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack
  readonly millrace: Millrace
  /** `host:port` of its `/metrics`. */
  readonly target: string
  readonly #ended = new AbortController()
  #board: Consumer<Reading>
  #collector: Consumer<Reading> | undefined
  /** What is wrong just now. */
  isFailing = false
  slowMs = 0

  private constructor(stack: AsyncDisposableStack, millrace: Millrace, target: string) {
    this.#stack = stack
    this.millrace = millrace
    this.target = target
    this.#board = this.#startBoard()
    this.startCollector()
    const backoff = { firstMs: 1, greatestMs: 1 }
    millrace.consumer(flights, { name: 'audit', maxAttempts: 2, backoff }).start(({ data }) => {
      if (this.isFailing && data.n % 5 === 0) throw new Error('not today')
    })
    millrace.consumer(flights, { name: 'slow', checkpointEvery: 1 }).start(async () => {
      await pause(this.slowMs)
    })
    millrace.consumer(flights, { name: 'leased', leaseMs: 2_000 }).start(() => undefined)
    // What takes a while is pending for a while.
    millrace.consumerGroup(flights, { name: 'pool', concurrency: 8 }).start(async () => {
      await pause(this.slowMs)
    })
  }

  static async start(url: string): Promise<WatchedApp> {
    const stack = new AsyncDisposableStack()
    const registry = new Registry()
    const recording = stack.use(recordMetrics({ registry }))
    const millrace = stack.use(await connect(url, { blockMs: 200, sweepEveryMs: 200 }))
    recording.watch(millrace)
    const server = createServer((_, response) => {
      void registry.metrics().then((text) => {
        response.setHeader('Content-Type', registry.contentType).end(text)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    stack.defer(() => {
      server.close()
      server.closeAllConnections()
    })
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const app = new WatchedApp(stack, millrace, `127.0.0.1:${port}`)
    stack.use(await app.#publish())
    return app
  }

  async stopBoard(): Promise<void> {
    await this.#board.close({ deadlineMs: 1_000 })
  }

  startBoard(): void {
    this.#board = this.#startBoard()
  }

  async stopCollector(): Promise<void> {
    await this.#collector?.close({ deadlineMs: 1_000 })
  }

  startCollector(): void {
    this.#collector = this.millrace
      .consumer(parcels, { name: 'collector', checkpointEvery: 1 })
      .start(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort()
    await this.#stack.disposeAsync()
  }

  #startBoard(): Consumer<Reading> {
    return this.millrace.consumer(flights, { name: 'board' }).start(() => undefined)
  }

  /** Publishes to all streams at a steady rate, whatever comes of it. */
  async #publish(): Promise<AsyncDisposable> {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-spool-'))
    this.#stack.defer(() => rm(directory, { recursive: true, force: true }))
    const watched = this.millrace.producer(flights, {
      deadlineMs: 1_000,
      pressure: { lagEvents: { high: 60 }, of: ['board'] },
    })
    const spooling = this.millrace.producer(orders, {
      producerId: 'watched-app',
      whenUnavailable: 'spool',
      spool: { directory, afterMs: 100 },
    })
    const ticking = (async () => {
      for (let n = 1; !this.#ended.signal.aborted; n++) {
        // What fails while Redis is away is what the metrics are to show.
        const ignore = (): undefined => undefined
        watched.publish({ n }).catch(ignore)
        this.millrace.publish(parcels, { n }, { deadlineMs: 1_000 }).catch(ignore)
        spooling.publish({ n }).catch(ignore)
        tellOfPolling(n)
        await pause(TICK_MS)
      }
    })()
    return { [Symbol.asyncDispose]: () => ticking }
  }
}

/** What the poll adapter tells while it works; it need not be installed for it to be shown. */
function tellOfPolling(n: number): void {
  const stream = 'flights'
  const poller = { stream, poller: 'departures' }
  const bridge = { stream, bridge: 'table' }
  const feed = { stream, feed: 'changes' }
  const tell = (name: keyof typeof pollChannelNames, fact: object): void => {
    channel(pollChannelNames[name]).publish(fact)
  }
  const to = n % 2 === 0 ? 'shadow' : 'poll'
  const found = { onlyPoll: 0, onlyStream: 0, outOfOrder: 0, differing: 0 }
  tell('migrationSwitched', { ...poller, from: 'poll', to, state: to, epoch: n, why: '' })
  tell('shadowCompared', { ...poller, matched: n, ...found })
  tell('pollerFailed', { ...poller, mode: 'poll', error: new Error('not today') })
  tell('bridgePolled', { ...bridge, changes: 1, durationMs: 1 })
  tell('bridgeFailed', { ...bridge, error: new Error('not today') })
  tell('feedPolled', { ...feed, items: 1, source: 'memory', waitedMs: 20 })
  tell('feedRefused', { ...feed, code: 'CURSOR_INVALID', error: new Error('not today') })
  tell('itemUnreachable', { ...feed, id: `${n}-0`, cursor: '1', greatest: '2' })
  tell('snapshotChanged', {
    ...{ stream, snapshot: 'all', change: 'following', detail: '' },
    ...{ keys: n, bytes: 100 * n },
  })
}
