// For people who extend: what the metrics are, as data.
export {
  type Declaration,
  type MetricSource,
  type MetricUnit,
  problemsOf,
} from './declarations/declaration.ts'
