// For users.
export { type MetricsRecording, recordMetrics } from './process/record-metrics.ts'
export type { RecordOptions } from './process/options.ts'
export { startTracing, type Tracing } from './tracing/tracing.ts'
export type { OpenTelemetryApi, TracingOptions } from './tracing/options.ts'

// For people who extend: what the metrics are, as data.
export {
  type Declaration,
  type MetricSource,
  type MetricUnit,
  problemsOf,
} from './declarations/declaration.ts'
export { processMetrics } from './declarations/process.ts'
