// For users.
export { type MetricsRecording, recordMetrics } from './process/record-metrics.ts'
export type { RecordOptions } from './process/options.ts'
export { startTracing, type Tracing } from './tracing/tracing.ts'
export type { OpenTelemetryApi, TracingOptions } from './tracing/options.ts'
export { FleetExporter, type FleetReadiness } from './fleet/fleet-exporter.ts'
export type { FleetOptions } from './fleet/options.ts'
export { type FleetServer, serveFleet, type ServeOptions } from './fleet/serve-fleet.ts'
export type {
  ConsumerSnapshot,
  FleetSnapshot,
  GroupSnapshot,
  NodeSnapshot,
  StreamSnapshot,
} from './fleet/snapshot.ts'
export type { ReaderKind } from './fleet/companions.ts'
export type { StreamReading } from './fleet/stream-reading.ts'
export type { Verdict } from './fleet/verdict.ts'

// For people who extend: what the metrics are, as data.
export {
  type Declaration,
  type MetricSource,
  type MetricUnit,
  problemsOf,
} from './declarations/declaration.ts'
export { processMetrics } from './declarations/process.ts'
export { type FleetMetric, fleetMetrics } from './declarations/fleet.ts'
