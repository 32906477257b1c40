import {
  AggregationTemporality,
  type DataPoint,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
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
  const metrics = (exporter.getMetrics().at(-1)?.scopeMetrics ?? []).flatMap(
    (scope) => scope.metrics,
  )
  const byName = new Map(metrics.map((metric) => [metric.descriptor.name, metric]))

  const sent = byName.get('messaging.client.sent.messages')
  expect(sent?.descriptor).toMatchObject({ unit: '{event}' })
  expect((sent?.dataPoints as DataPoint<number>[]).map(({ value }) => value)).toEqual([2])
  expect(sent?.dataPoints[0]?.attributes).toEqual({
    'messaging.system.name': 'redis',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': 'orders',
  })
  const duration = byName.get('messaging.process.duration')
  const [point] = duration?.dataPoints as DataPoint<Histogram>[]
  expect(duration?.descriptor.unit).toBe('s')
  expect(point?.value.count).toBe(2)
  expect(point?.value.buckets.boundaries).toEqual([
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
  ])
  expect(point?.attributes).toMatchObject({
    'messaging.destination.name': 'orders',
    'messaging.consumer.group.name': 'board',
  })
  expect(
    (byName.get('millrace.publish_to_done')?.dataPoints[0] as DataPoint<Histogram>).value.count,
  ).toBe(2)
  expect((byName.get('millrace.ready')?.dataPoints as DataPoint<number>[])[0]?.value).toBe(1)
  const given = new Set(processMetrics.map(({ openTelemetry }) => openTelemetry))
  expect(metrics.every(({ descriptor }) => given.has(descriptor.name))).toBe(true)

  // What is closed gives no more.
  recording.close()
  await millrace.publish(orders, { order: 'c' })
  await provider.forceFlush()
  const after = (exporter.getMetrics().at(-1)?.scopeMetrics ?? [])
    .flatMap((scope) => scope.metrics)
    .find(({ descriptor }) => descriptor.name === 'messaging.client.sent.messages')
  const values = (after?.dataPoints as DataPoint<number>[] | undefined)?.map(({ value }) => value)
  expect(values ?? [2]).toEqual([2])
  await provider.shutdown()
})
