import { spawnSync } from 'node:child_process'
import { connect, defineStream, isMillraceError, UnrecoverableError } from '@millrace/runtime'
import { startFaultProxy, startRedis, waitFor } from '@millrace/testkit'
import { Counter, type OpenMetricsContentType, Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { processMetrics, recordMetrics } from '../../src/index.ts'
import { valuesOf } from './registry-values.ts'

const orders = defineStream<{ order: string }>('orders', { key: ({ order }) => order })
const quick = { blockMs: 100 }
const at = (group: string): string => `{stream="orders",group="${group}"}`

describe('a recording in a registry of prom-client', () => {
  test('counts what is published, delivered, handled, failed, retried and given up', async () => {
    await using server = await startRedis()
    const registry = new Registry()
    using recording = recordMetrics({ registry })
    await using millrace = await connect(server.url, quick)
    recording.watch(millrace)
    const handler =
      (fail: Set<string>) =>
      ({ data: { order } }: { data: { order: string } }): void => {
        if (order === 'poison') throw new UnrecoverableError('no')
        if (fail.delete(order)) throw new Error('once')
      }
    const backoff = { firstMs: 1 }
    const board = millrace
      .consumer(orders, { name: 'board', order: 'key', concurrency: 4, backoff })
      .start(handler(new Set(['b'])))
    const workers = millrace
      .consumerGroup(orders, { name: 'workers', concurrency: 4, backoff })
      .start(handler(new Set(['b'])))
    await Promise.all([board.ready, workers.ready])
    await millrace.publish(orders, [
      { order: 'a' },
      { order: 'b' },
      { order: 'poison' },
      { order: 'c' },
    ])
    await millrace.publish(orders, { order: 'd' }, { idempotencyKey: 'd' })
    await millrace.publish(orders, { order: 'd' }, { idempotencyKey: 'd' })
    await waitFor(
      async () => {
        const values = await valuesOf(registry)
        return ['board', 'workers'].every(
          (name) =>
            values.get(`millrace_handled_events_total${at(name)}`) === 4 &&
            values.get(
              `millrace_dead_lettered_events_total{stream="orders",group="${name}",reason="unrecoverable"}`,
            ) === 1,
        )
      },
      { describe: 'all events to be done with' },
    )
    const values = await valuesOf(registry)
    expect(values.get('millrace_published_events_total{stream="orders"}')).toBe(5)
    expect(values.get('millrace_publish_duplicates_total{stream="orders"}')).toBe(1)
    expect(values.get('millrace_publish_duration_seconds_count{stream="orders"}')).toBe(3)
    for (const name of ['board', 'workers']) {
      expect(values.get(`millrace_delivered_events_total${at(name)}`)).toBe(5)
      expect(values.get(`millrace_failed_attempts_total${at(name)}`)).toBe(2)
      expect(values.get(`millrace_retried_attempts_total${at(name)}`)).toBe(1)
      expect(values.get(`millrace_redelivered_events_total${at(name)}`) ?? 0).toBe(0)
      expect(values.get(`millrace_publish_to_receive_seconds_count${at(name)}`)).toBe(5)
      expect(values.get(`millrace_receive_to_done_seconds_count${at(name)}`)).toBe(4)
      expect(values.get(`millrace_publish_to_done_seconds_count${at(name)}`)).toBe(4)
      expect(values.get(`millrace_handler_duration_seconds_count${at(name)}`)).toBe(6)
      const labels = at(name).replace('}', ',change="acquired"}')
      expect(values.get(`millrace_lease_changes_total${labels}`)).toBe(1)
    }
    expect(values.get('millrace_ready')).toBe(1)
    expect(values.get('millrace_live')).toBe(1)
    expect(values.get('millrace_connections{purpose="data"}')).toBe(1)
    expect(values.get('millrace_connections_opened_total{purpose="tail"}')).toBe(1)
    expect(values.get('millrace_read_state{stream="orders",group="board",state="reading"}')).toBe(1)
    expect(values.get(`millrace_credit_events${at('board')}`)).toBeGreaterThan(0)

    // The dead letters come back, and count neither as new deliveries' latency nor as published.
    const before = values.get(`millrace_publish_to_receive_seconds_count${at('workers')}`)
    await millrace.deadLetters(orders, 'workers').redrive()
    await waitFor(
      async () =>
        (await valuesOf(registry)).get(`millrace_failed_attempts_total${at('workers')}`) === 3,
      { describe: 'the redriven event to fail again' },
    )
    const after = await valuesOf(registry)
    expect(after.get(`millrace_redriven_events_total${at('workers')}`)).toBe(1)
    expect(after.get(`millrace_publish_to_receive_seconds_count${at('workers')}`)).toBe(before)
    expect(after.get('millrace_published_events_total{stream="orders"}')).toBe(5)
  })

  test('shows reconnects, loops that fail, and that nothing is read meanwhile', async () => {
    await using server = await startRedis()
    await using proxy = await startFaultProxy(server)
    const registry = new Registry()
    using recording = recordMetrics({ registry })
    await using millrace = await connect(proxy.url, quick)
    recording.watch(millrace)
    const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
    await waitFor(
      async () => {
        const values = await valuesOf(registry)
        return (
          values.get('millrace_ready') === 1 && values.get('millrace_connections{purpose="tail"}')
        )
      },
      { describe: 'the consumer to read' },
    )
    proxy.blackhole('both')
    await waitFor(async () => (await valuesOf(registry)).get('millrace_ready') === 0, {
      describe: 'the process to be red',
    })
    const red = await valuesOf(registry)
    expect(red.get('millrace_read_state{stream="orders",group="board",state="deaf"}')).toBe(1)
    expect(red.get(`millrace_read_confirmed_age_seconds${at('board')}`)).toBeGreaterThan(3)
    await proxy.heal()
    const green = await waitFor(
      async () => {
        const values = await valuesOf(registry)
        const opened = values.get('millrace_connections_opened_total{purpose="tail"}') ?? 0
        return values.get('millrace_ready') === 1 && opened > 1 && values
      },
      { describe: 'the process to be green again' },
    )
    expect(green.get('millrace_connections_closed_total{purpose="tail"}')).toBeGreaterThan(0)
    expect(green.get('millrace_loop_failures_total{loop="tail"}')).toBeGreaterThan(0)
    await board.close()
  }, 60_000)

  test('allows for clocks that are apart', async () => {
    await using server = await startRedis()
    const registry = new Registry()
    using recording = recordMetrics({ registry })
    await using millrace = await connect(server.url, quick)
    recording.watch(millrace)
    // Ids an hour ahead are what a server has whose clock is: only the measured offset tells them apart
    // from events of the future, whose latency counts as 0.
    const aheadMs = Date.now() + 3_600_000
    const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
    await board.ready
    await server
      .client()
      .xadd('mr:{orders}orders', `${aheadMs}-0`, 'data', JSON.stringify({ order: 'a' }))
    await waitFor(
      async () =>
        (await valuesOf(registry)).get(`millrace_publish_to_done_seconds_count${at('board')}`) ===
        1,
      { describe: 'the event to be done' },
    )
    const values = await valuesOf(registry)
    expect(values.get(`millrace_publish_to_done_seconds_sum${at('board')}`)).toBe(0)
    await waitFor(
      async () => (await valuesOf(registry)).get('millrace_clock_offset_seconds') !== undefined,
      { describe: 'the clocks to be compared' },
    )
    const offset = (await valuesOf(registry)).get('millrace_clock_offset_seconds') ?? 1
    expect(Math.abs(offset)).toBeLessThan(0.5)
  })

  test('ends when it is closed, and leaves the metrics of others alone', async () => {
    await using server = await startRedis()
    const registry = new Registry()
    const own = new Counter({ name: 'own_total', help: 'Own', registers: [registry] })
    own.inc()
    const recording = recordMetrics({ registry })
    await using millrace = await connect(server.url)
    await millrace.publish(orders, { order: 'a' })
    expect((await valuesOf(registry)).get('millrace_published_events_total{stream="orders"}')).toBe(
      1,
    )
    recording.close()
    recording.close()
    expect([...(await valuesOf(registry)).keys()]).toEqual(['own_total'])
    // And there is room for another one, which begins at nothing.
    using _ = recordMetrics({ registry })
    expect((await valuesOf(registry)).has('millrace_published_events_total{stream="orders"}')).toBe(
      false,
    )
  })

  test('is refused by a registry that has one already, which then is as it was', async () => {
    const registry = new Registry()
    const last = processMetrics.at(-1)?.name ?? ''
    const own = new Counter({ name: last, help: 'Own', registers: [registry] })
    own.inc()
    expect(() => recordMetrics({ registry })).toThrow('already been registered')
    expect([...(await valuesOf(registry)).keys()]).toEqual([last])
  })

  test('names all problems of its options at once', () => {
    const options = { registry: {}, maxSeries: 0, colour: 'red' }
    let thrown: unknown
    try {
      recordMetrics(options as never)
    } catch (error) {
      thrown = error
    }
    expect(isMillraceError(thrown, 'OPTIONS_INVALID') && thrown.issues).toEqual([
      'registry must be a Registry of prom-client',
      'maxSeries must be a whole number from 1 to 1000000',
      'colour is not an option (known: registry, meter, maxSeries)',
    ])
    expect(() => recordMetrics({})).toThrow('a registry or a meter is needed')
  })

  test('counts further series together once there are too many', async () => {
    await using server = await startRedis()
    const registry = new Registry()
    using _ = recordMetrics({ registry, maxSeries: 2 })
    await using millrace = await connect(server.url)
    for (const name of ['a', 'b', 'c', 'd'])
      await millrace.publish(defineStream<number>(name), [1, 2])
    const values = await valuesOf(registry)
    expect(values.get('millrace_published_events_total{stream="a"}')).toBe(2)
    expect(values.get('millrace_published_events_total{stream="other"}')).toBe(4)
    expect(values.has('millrace_published_events_total{stream="c"}')).toBe(false)
  })

  test('shows sampled traces as exemplars where the registry is one of OpenMetrics', async () => {
    await using server = await startRedis()
    const registry = new Registry<OpenMetricsContentType>()
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
    using _ = recordMetrics({ registry })
    await using millrace = await connect(server.url, quick)
    const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
    await board.ready
    const sampled = `00-${'a'.repeat(32)}-${'1'.repeat(16)}-01`
    const dropped = `00-${'b'.repeat(32)}-${'2'.repeat(16)}-00`
    for (const traceparent of [sampled, dropped])
      await millrace.publish(orders, { order: 'a' }, { headers: { traceparent } })
    const text = await waitFor(
      async () => {
        const shown = await registry.metrics()
        return shown.includes(`millrace_publish_to_done_seconds_count${at('board')} 2`) && shown
      },
      { describe: 'both events to be done' },
    )
    expect(text).toMatch(
      /millrace_publish_to_done_seconds_bucket\{[^}]*group="board"\} \d # \{trace_id="a{32}",span_id="1{16}"\} \S+ \d/,
    )
    expect(text).not.toContain('b'.repeat(32))
    expect(text.trimEnd().endsWith('# EOF')).toBe(true)
    expect(text).toContain('# TYPE millrace_published_events counter')
    expect(text).toContain('millrace_published_events_total{stream="orders"} 2')
  })
})

const promtool = spawnSync('promtool', ['--version']).status === 0

test.skipIf(!promtool)('promtool has nothing against the names (needs promtool)', async () => {
  await using server = await startRedis()
  const registry = new Registry()
  using recording = recordMetrics({ registry })
  await using millrace = await connect(server.url, quick)
  recording.watch(millrace)
  const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
  await board.ready
  await millrace.publish(orders, { order: 'a' })
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: await registry.metrics() })
  expect(String(checked.stdout) + String(checked.stderr)).toBe('')
  expect(checked.status).toBe(0)
})
