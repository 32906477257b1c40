import { connect, type Instrumentation, type Millrace } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { Tally } from '../load/tally.ts'
import { flights } from '../millrace/flights.ts'
import type { ConsumeProgram, ConsumeTask, Recording } from './program.ts'

// A Consumer or the only member of a ConsumerGroup works a full stream off, as in the throughput
// benchmark, and somebody looks on. What is not measured is not loaded.
const SCRAPE_EVERY_MS = 1_000

/** Somebody who looks on. */
interface Onlooker {
  readonly instrumentation?: Instrumentation
  watch(millrace: Millrace): void
  /** Ends looking; answers how many deliveries were seen, or undefined for whoever does not count them. */
  close(): Promise<number | undefined>
}

serve({
  async consume({ place, by, recording, warmUp, measured }: ConsumeTask) {
    const onlooker = await onlookers[recording]()
    const { instrumentation } = onlooker
    const options = instrumentation === undefined ? {} : { instrumentation }
    const millrace = await connect(place.url, { prefix: place.prefix, ...options })
    onlooker.watch(millrace)
    const tally = new Tally({ warmUp, measured })
    const reader =
      by === 'consumer'
        ? millrace.consumer(flights, { name: 'bench' })
        : millrace.consumerGroup(flights, { name: 'bench' })
    reader.start(({ data }) => {
      tally.see(data.sequence)
    })
    await Promise.race([tally.complete, reader.done])
    await reader.close()
    const lap = tally.finish()
    // What is gathered in one turn of the event loop is told in the next one.
    await new Promise((resolve) => setImmediate(resolve))
    const seen = await onlooker.close()
    if (seen !== undefined && seen !== warmUp + measured)
      throw new Error(`${seen} deliveries were counted where ${warmUp + measured} were made`)
    await millrace.close()
    return lap
  },
} satisfies ConsumeProgram)

const onlookers: Readonly<Record<Recording, () => Promise<Onlooker>>> = {
  none: () => Promise.resolve({ watch: () => undefined, close: () => Promise.resolve(undefined) }),

  async prometheus() {
    const { recordMetrics } = await import('@millrace/metrics')
    const { Registry } = await import('prom-client')
    const registry = new Registry()
    const recording = recordMetrics({ registry })
    const timer = setInterval(() => void registry.metrics(), SCRAPE_EVERY_MS)
    return {
      watch: (millrace) => void recording.watch(millrace),
      async close() {
        clearInterval(timer)
        const shown = await registry.metrics()
        recording.close()
        return Number(/^millrace_handled_events_total\S+ (\d+)$/m.exec(shown)?.[1])
      },
    }
  },

  async 'open-telemetry'() {
    const { recordMetrics } = await import('@millrace/metrics')
    const {
      AggregationTemporality,
      InMemoryMetricExporter,
      MeterProvider,
      PeriodicExportingMetricReader,
    } = await import('@opentelemetry/sdk-metrics')
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({
      exporter,
      exportIntervalMillis: SCRAPE_EVERY_MS,
    })
    const provider = new MeterProvider({ readers: [reader] })
    const recording = recordMetrics({ meter: provider.getMeter('benchmark') })
    return {
      watch: (millrace) => void recording.watch(millrace),
      async close() {
        await provider.shutdown()
        recording.close()
        return undefined
      },
    }
  },

  async traces() {
    const { startTracing } = await import('@millrace/metrics')
    const api = await import('@opentelemetry/api')
    const { AsyncLocalStorageContextManager } = await import('@opentelemetry/context-async-hooks')
    const { ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } = await import(
      '@opentelemetry/sdk-trace'
    )
    api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    // As it is run in production: one trace in a hundred is kept.
    const sampler = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0.01) })
    const tracing = startTracing({ api, tracerProvider: new TracerProvider({ sampler }) })
    return {
      instrumentation: tracing,
      watch: () => undefined,
      close() {
        tracing.close()
        return Promise.resolve(undefined)
      },
    }
  },
}
