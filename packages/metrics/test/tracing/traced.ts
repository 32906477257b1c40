import * as api from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { waitFor } from '@millrace/testkit'
import { startTracing, type Tracing } from '../../src/index.ts'

/** Tracing with an SDK that keeps its spans in memory. */
export interface Traced extends Disposable {
  readonly tracing: Tracing
  readonly provider: TracerProvider
  /** All ended spans of this name, once there are so many. */
  spans(name: string, count?: number): Promise<ReadableSpan[]>
  names(): string[]
}

export function startTraced(): Traced {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const tracing = startTracing({ api, tracerProvider: provider })
  const named = (name: string): ReadableSpan[] =>
    exporter.getFinishedSpans().filter((span) => span.name === name)
  return {
    tracing,
    provider,
    spans: (name, count = 1) =>
      waitFor(() => named(name).length >= count && named(name), {
        describe: `${count} spans called ${name}`,
      }),
    names: () => exporter.getFinishedSpans().map(({ name }) => name),
    [Symbol.dispose]() {
      tracing.close()
      api.context.disable()
    },
  }
}
