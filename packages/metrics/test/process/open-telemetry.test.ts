import {
  AggregationTemporality,
  type DataPoint,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { connect, defineStream } from '@millrace/runtime'
import { startRedis, waitFor } from '@millrace/testkit'
import { expect, test } from 'vitest'
import { processMetrics, recordMetrics } from '../../src/index.ts'

const orders = defineStream<{ order: string }>('orders')

test('a meter gets everything, under the names of the conventions where these have one', async () => {
  await using server = await startRedis()
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new MeterProvider({ readers: [reader] })
  const recording = recordMetrics({ meter: provider.getMeter('test') })
  await using millrace = await connect(server.url, { blockMs: 100 })
  recording.watch(millrace)
  let handled = 0
  const board = millrace.consumer(orders, { name: 'board' }).start(() => {
    handled++
  })
  await board.ready
  await millrace.publish(orders, [{ order: 'a' }, { order: 'b' }])
  await waitFor(() => handled === 2, { describe: 'both events to be handled' })
  await board.close()
  await provider.forceFlush()
  const metrics = latest(exporter)
  const sent = metrics.find(
    ({ descriptor }) => descriptor.name === 'messaging.client.sent.messages',
  )
  expect(sent?.descriptor).toMatchObject({ unit: '{event}' })
  expect(pointsOf<number>(metrics, 'messaging.client.sent.messages')).toMatchObject([
    {
      value: 2,
      attributes: {
        'messaging.system.name': 'redis',
        'messaging.operation.name': 'send',
        'messaging.operation.type': 'send',
        'messaging.destination.name': 'orders',
      },
    },
  ])
  expect(pointsOf<Histogram>(metrics, 'messaging.process.duration')).toMatchObject([
    {
      value: {
        count: 2,
        buckets: {
          boundaries: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
        },
      },
      attributes: {
        'messaging.operation.name': 'process',
        'messaging.destination.name': 'orders',
        'messaging.consumer.group.name': 'board',
      },
    },
  ])
  const duration = metrics.find(
    ({ descriptor }) => descriptor.name === 'messaging.process.duration',
  )
  expect(duration?.descriptor.unit).toBe('s')
  expect(pointsOf<Histogram>(metrics, 'millrace.publish_to_done')).toMatchObject([
    { value: { count: 2 } },
  ])
  expect(pointsOf<number>(metrics, 'millrace.ready')).toMatchObject([{ value: 1 }])
  const unitsOf = new Map(metrics.map(({ descriptor }) => [descriptor.name, descriptor.unit]))
  expect(unitsOf.get('millrace.ready')).toBe('{state}')
  expect(unitsOf.get('millrace.published_size')).toBe('By')
  expect(unitsOf.get('millrace.publish_to_done')).toBe('s')
  const given = new Set(processMetrics.map(({ openTelemetry }) => openTelemetry))
  expect(metrics.every(({ descriptor }) => given.has(descriptor.name))).toBe(true)

  // What is closed gives no more.
  recording.close()
  await millrace.publish(orders, { order: 'c' })
  await provider.forceFlush()
  const after = pointsOf<number>(latest(exporter), 'messaging.client.sent.messages')
  expect(after.every(({ value }) => value === 2)).toBe(true)
  await provider.shutdown()
})

function latest(exporter: InMemoryMetricExporter): readonly MetricData[] {
  return (exporter.getMetrics().at(-1)?.scopeMetrics ?? []).flatMap(({ metrics }) => metrics)
}

function pointsOf<Value>(metrics: readonly MetricData[], name: string): DataPoint<Value>[] {
  const found = metrics.find(({ descriptor }) => descriptor.name === name)
  return (found?.dataPoints ?? []) as DataPoint<Value>[]
}
