import type { Millrace } from '@millrace/runtime'
import { processMetrics } from '../declarations/process.ts'
import { Board } from './board.ts'
import { giveToMeter } from './open-telemetry.ts'
import { type RecordOptions, resolveRecordOptions } from './options.ts'
import { showInRegistry } from './prometheus.ts'
import { ServerClock } from './server-clock.ts'
import { watchCondition } from './watch-condition.ts'
import { watchDelivering } from './watch-delivering.ts'
import { watchPolling } from './watch-polling.ts'
import { watchProducing } from './watch-producing.ts'
import { watchStanding } from './watch-standing.ts'

/**
 * Records what everything of Millrace in this process does, as metrics for Prometheus, for OpenTelemetry,
 * or both. Begin before connecting, so that nothing is missed, and let it {@link MetricsRecording.watch}
 * what `connect()` answers.
 * @throws MillraceError `OPTIONS_INVALID`; Error when the registry has a metric of one of the names already
 */
export function recordMetrics(options: RecordOptions): MetricsRecording {
  return new MetricsRecording(options)
}

/** Metrics that are being recorded. Use {@link recordMetrics}. */
export class MetricsRecording implements Disposable {
  readonly #open = new Set<Millrace>()
  readonly #clock = new ServerClock()
  readonly #offs: (() => void)[] = []

  /** @internal */
  constructor(options: RecordOptions) {
    const { registry, meter, maxSeries } = resolveRecordOptions(options)
    const board = new Board(maxSeries)
    watchCondition(board, this.#open, this.#clock)
    try {
      if (registry !== undefined) this.#offs.push(showInRegistry(board, processMetrics, registry))
      if (meter !== undefined) this.#offs.push(giveToMeter(board, processMetrics, meter))
    } catch (error) {
      this.close()
      throw error
    }
    this.#offs.push(
      watchProducing(board, () => performance.now()),
      watchDelivering(board, this.#clock),
      watchStanding(board),
      watchPolling(board),
    )
  }

  /**
   * Shows what only an open Millrace knows, until it is closed: health, events in flight, connections. Its
   * Redis also tells how far the clocks are apart, so that latencies allow for it; without one they are
   * taken to be the same.
   */
  watch(millrace: Millrace): this {
    this.#open.add(millrace)
    void this.#clock.measure(millrace)
    const forget = (): void => {
      this.#open.delete(millrace)
    }
    void millrace.closed.then(forget, forget)
    return this
  }

  /** Ends the recording and takes the metrics out of registry and meter. Idempotent. */
  close(): void {
    this.#open.clear()
    for (const off of this.#offs.splice(0)) off()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
