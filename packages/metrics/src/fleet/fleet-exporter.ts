import { MillraceError } from '@millrace/runtime'
import { Collector } from './collector.ts'
import { TEXT_FORMAT } from './exposition.ts'
import { type FleetOptions, type ResolvedFleetOptions, resolveFleetOptions } from './options.ts'
import { renderSnapshot } from './render.ts'
import type { FleetSnapshot } from './snapshot.ts'

/** Whether the exporter can do its work, and why not. */
export interface FleetReadiness {
  readonly isReady: boolean
  readonly reason: string
}

/**
 * Shows all streams of one Redis, whoever writes and reads them, to Prometheus. It only reads, connects when
 * it is asked for the first time, and asks Redis only when it is asked itself; who asks meanwhile gets the
 * same answer. Serve `metrics()` yourself, or use `serveFleet`.
 */
export class FleetExporter {
  /** For the `Content-Type` of what {@link metrics} answers. */
  readonly contentType: string = TEXT_FORMAT
  readonly #options: ResolvedFleetOptions
  readonly #collector: Collector
  #running: Promise<FleetSnapshot> | undefined
  #last: FleetSnapshot | undefined
  /** When that began, by the monotonic clock. */
  #lastMs = 0
  #isClosed = false

  /** @throws MillraceError `OPTIONS_INVALID` */
  constructor(options: FleetOptions) {
    this.#options = resolveFleetOptions(options)
    this.#collector = new Collector(this.#options)
  }

  /**
   * Reads Redis and answers the metrics in Prometheus' text format. While Redis is away it answers all the
   * same, with `millrace_exporter_up` 0 and without streams.
   * @throws MillraceError `CLOSED`
   */
  async metrics(): Promise<string> {
    return renderSnapshot(await this.snapshot(), this.#options.maxConsumersPerGroup)
  }

  /**
   * Likewise, as data.
   * @throws MillraceError `CLOSED`
   */
  snapshot(): Promise<FleetSnapshot> {
    if (this.#isClosed) {
      return Promise.reject(new MillraceError('CLOSED', 'The fleet exporter was closed'))
    }
    this.#running ??= this.#collect()
    return this.#running
  }

  /** Whether a scrape of just now, or one that is made for this, found all servers and all keys. */
  async readiness(): Promise<FleetReadiness> {
    if (this.#isClosed) return { isReady: false, reason: 'closed' }
    const isRecent = performance.now() - this.#lastMs < RECENT_DEADLINES * this.#options.deadlineMs
    const { nodes } =
      this.#last !== undefined && isRecent && isUp(this.#last) && this.#collector.hasFoundAll
        ? this.#last
        : await this.snapshot()
    const down = nodes.filter((node) => !node.isUp).map(({ name }) => name)
    if (nodes.length === 0) return { isReady: false, reason: 'no node of the cluster answers' }
    if (down.length > 0) return { isReady: false, reason: `no answer from ${down.join(', ')}` }
    if (!this.#collector.hasFoundAll) return { isReady: false, reason: 'still looking for streams' }
    return { isReady: true, reason: 'reading' }
  }

  /** Lets go of all connections. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#collector.close()
    await this.#running
    // A scrape that was under way may have connected again meanwhile.
    this.#collector.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #collect(): Promise<FleetSnapshot> {
    const startedMs = performance.now()
    try {
      this.#last = await this.#collector.collect()
      this.#lastMs = startedMs
      return this.#last
    } finally {
      this.#running = undefined
    }
  }
}

/** What was found so many deadlines ago says nothing of now: nobody may scrape while probes come. */
const RECENT_DEADLINES = 3

function isUp({ nodes }: FleetSnapshot): boolean {
  return nodes.length > 0 && nodes.every((node) => node.isUp)
}
