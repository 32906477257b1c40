import * as api from '@opentelemetry/api'
import { isTracingSuppressed } from '@opentelemetry/core'
import { connect, defineStream, isMillraceError } from '@millrace/runtime'
import { startRedis, waitFor } from '@millrace/testkit'
import { describe, expect, test } from 'vitest'
import { startTracing } from '../../src/index.ts'
import { startTraced } from './traced.ts'

const orders = defineStream<{ order: string }>('orders')
const quick = { blockMs: 100 }

describe('a trace', () => {
  test('leads from publishing over receiving and processing to settling, for consumer and group', async () => {
    await using server = await startRedis()
    using traced = startTraced()
    await using millrace = await connect(server.url, { ...quick, instrumentation: traced.tracing })
    let inHandler: string | undefined
    const board = millrace.consumer(orders, { name: 'board' }).start(() => {
      inHandler = api.trace.getActiveSpan()?.spanContext().spanId
    })
    const workers = millrace.consumerGroup(orders, { name: 'workers' }).start(async () => {
      await Promise.resolve()
      traced.provider.getTracer('app').startSpan('work of the application').end()
    })
    await Promise.all([board.ready, workers.ready])
    const tracer = traced.provider.getTracer('app')
    const request = tracer.startSpan('request')
    const { id } = await api.context.with(api.trace.setSpan(api.ROOT_CONTEXT, request), () =>
      millrace.publish(orders, { order: 'a' }),
    )
    request.end()
    const [send] = await traced.spans('send orders')
    const processed = await traced.spans('process orders', 2)
    const [ack] = await traced.spans('ack orders')
    await board.close()
    const [checkpoint] = await traced.spans('checkpoint orders')
    const receives = await traced.spans('receive orders', 2)

    const traceId = request.spanContext().traceId
    const all = [send, ack, checkpoint, ...processed, ...receives]
    expect(all.map((span) => span?.spanContext().traceId)).toEqual(all.map(() => traceId))
    expect(send?.parentSpanContext?.spanId).toBe(request.spanContext().spanId)
    expect(send?.kind).toBe(api.SpanKind.PRODUCER)
    expect(send?.attributes).toEqual({
      'messaging.system.name': 'redis',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'orders',
      'messaging.message.id': id,
      'millrace.stored': 'stream',
    })
    for (const span of processed) {
      expect(span.parentSpanContext?.spanId).toBe(send?.spanContext().spanId)
      expect(span.kind).toBe(api.SpanKind.CONSUMER)
      expect(span.attributes).toMatchObject({
        'messaging.operation.type': 'process',
        'messaging.message.id': id,
        'millrace.attempt': 1,
      })
    }
    const processedBy = (name: string): string | undefined =>
      processed
        .find(({ attributes }) => attributes['messaging.consumer.group.name'] === name)
        ?.spanContext().spanId
    expect(inHandler).toBe(processedBy('board'))
    const [own] = await traced.spans('work of the application')
    expect(own?.parentSpanContext?.spanId).toBe(processedBy('workers'))
    expect(ack?.parentSpanContext?.spanId).toBe(processedBy('workers'))
    expect(checkpoint?.parentSpanContext?.spanId).toBe(processedBy('board'))
    expect(ack?.attributes).toMatchObject({
      'messaging.operation.type': 'settle',
      'messaging.consumer.group.name': 'workers',
    })
    for (const span of [...receives, ack, checkpoint]) expect(span?.kind).toBe(api.SpanKind.CLIENT)
  })

  test('stays one through retry, dead letter and redrive', async () => {
    await using server = await startRedis()
    using traced = startTraced()
    await using millrace = await connect(server.url, { ...quick, instrumentation: traced.tracing })
    const options = { maxAttempts: 2, backoff: { firstMs: 1 } }
    let fixed = false
    const handler = (): void => {
      if (!fixed) throw new TypeError('not yet')
    }
    const board = millrace.consumer(orders, { ...options, name: 'board' }).start(handler)
    const workers = millrace.consumerGroup(orders, { ...options, name: 'workers' }).start(handler)
    await Promise.all([board.ready, workers.ready])
    await millrace.publish(orders, { order: 'a' })
    const failed = await traced.spans('process orders', 4)
    for (const span of failed) {
      expect(span.status).toEqual({ code: api.SpanStatusCode.ERROR, message: 'not yet' })
      expect(span.attributes['error.type']).toBe('TypeError')
      expect(span.events.map(({ name }) => name)).toEqual(['exception'])
    }
    for (const name of ['board', 'workers']) {
      const letters = millrace.deadLetters(orders, name)
      await waitFor(async () => (await letters.count()) === 1, { describe: 'the dead letter' })
    }
    fixed = true
    for (const name of ['board', 'workers']) await millrace.deadLetters(orders, name).redrive()
    const spans = await traced.spans('process orders', 6)
    const [send] = await traced.spans('send orders')
    for (const span of spans)
      expect(span.parentSpanContext?.spanId).toBe(send?.spanContext().spanId)
    const attempts = spans.map(({ attributes }) =>
      [
        attributes['messaging.consumer.group.name'],
        attributes['millrace.attempt'],
        attributes['millrace.redriven'] ?? false,
      ].join(' '),
    )
    expect(attempts.toSorted()).toEqual([
      'board 1 false',
      'board 1 true',
      'board 2 false',
      'workers 1 false',
      'workers 1 true',
      'workers 2 false',
    ])
  })

  test('has links where something concerns several events', async () => {
    await using server = await startRedis()
    using traced = startTraced()
    await using millrace = await connect(server.url, { ...quick, instrumentation: traced.tracing })
    const published = await Promise.all(
      ['a', 'b', 'c'].map((order) => millrace.publish(orders, { order })),
    )
    const many = await millrace.publish(orders, [{ order: 'd' }, { order: 'e' }])
    const sends = await traced.spans('send orders', 4)
    const spanIds = sends.map((span) => span.spanContext().spanId)
    const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
    const processed = await traced.spans('process orders', 5)
    await board.close()
    const [receive] = await traced.spans('receive orders')
    const [checkpoint] = await traced.spans('checkpoint orders')
    expect([...new Set(receive?.links.map(({ context }) => context.spanId))]).toEqual(spanIds)
    expect(receive?.links).toHaveLength(5)
    expect(receive?.attributes['messaging.batch.message_count']).toBe(5)
    expect(receive?.parentSpanContext).toBeUndefined()
    const settled = checkpoint?.links.map(({ context }) => context.spanId)
    expect(settled?.toSorted()).toEqual(
      processed.map((span) => span.spanContext().spanId).toSorted(),
    )
    // Events of one call share its span, which says how many they are.
    expect(sends.at(-1)?.attributes['messaging.batch.message_count']).toBe(2)
    const ofMany = processed.filter(({ attributes }) =>
      many.some(({ id }) => id === attributes['messaging.message.id']),
    )
    expect(ofMany.map((span) => span.parentSpanContext?.spanId)).toEqual([
      spanIds.at(-1),
      spanIds.at(-1),
    ])
    expect(published).toHaveLength(3)
  })

  test('travels as W3C headers beside those of the caller', async () => {
    await using server = await startRedis()
    using traced = startTraced()
    await using millrace = await connect(server.url, { ...quick, instrumentation: traced.tracing })
    const { id } = await millrace.publish(orders, { order: 'a' }, { headers: { tenant: 'blue' } })
    const [send] = await traced.spans('send orders')
    const { traceId, spanId } = send?.spanContext() ?? { traceId: '', spanId: '' }
    const [entry] = await server.client().xrange('mr:{orders}orders', id, id)
    const fields = entry?.[1] ?? []
    expect(fields[fields.indexOf('h:traceparent') + 1]).toBe(`00-${traceId}-${spanId}-01`)
    expect(fields[fields.indexOf('h:tenant') + 1]).toBe('blue')

    // An event that is passed on with the context that it came with stays in that trace.
    const carried = `00-${'a'.repeat(32)}-${'1'.repeat(16)}-01`
    const headers = { traceparent: carried, tracestate: 'vendor=1' }
    const board = millrace
      .consumer(orders, { name: 'board', from: 'latest' })
      .start(() => undefined)
    await board.ready
    await millrace.publish(orders, { order: 'b' }, { headers })
    const [processed] = await traced.spans('process orders')
    expect(processed?.parentSpanContext).toMatchObject({
      traceId: 'a'.repeat(32),
      spanId: '1'.repeat(16),
      isRemote: true,
    })
    expect(processed?.spanContext().traceState?.serialize()).toBe('vendor=1')
  })

  test('begins anew where an event carries none, or one that is not valid', async () => {
    await using server = await startRedis()
    using traced = startTraced()
    await using plain = await connect(server.url)
    await using millrace = await connect(server.url, { ...quick, instrumentation: traced.tracing })
    await plain.publish(orders, { order: 'a' })
    for (const traceparent of ['', 'nonsense', `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`, 'ff-1'])
      await plain.publish(orders, { order: 'b' }, { headers: { traceparent } })
    const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
    const processed = await traced.spans('process orders', 5)
    await board.close()
    expect(processed.every(({ parentSpanContext }) => parentSpanContext === undefined)).toBe(true)
    expect(traced.names()).not.toContain('receive orders')
  })
})

test('a publish that fails is a span that failed', async () => {
  await using server = await startRedis()
  using traced = startTraced()
  await using millrace = await connect(server.url, { instrumentation: traced.tracing })
  const small = defineStream<string>('small', { limits: { maxPayloadBytes: 100 } })
  await expect(millrace.publish(small, 'x'.repeat(200))).rejects.toSatisfy((error) =>
    isMillraceError(error, 'PAYLOAD_TOO_LARGE'),
  )
  const [send] = await traced.spans('send small')
  expect(send?.status.code).toBe(api.SpanStatusCode.ERROR)
  expect(send?.attributes['error.type']).toBe('PAYLOAD_TOO_LARGE')
})

test('waiting for events makes no spans, also for whoever traces Redis commands', async () => {
  await using server = await startRedis()
  using traced = startTraced()
  const tracer = traced.provider.getTracer('app')
  const span = tracer.startSpan('a request that starts consumers')
  await api.context.with(api.trace.setSpan(api.ROOT_CONTEXT, span), async () => {
    await using millrace = await connect(server.url, { ...quick, instrumentation: traced.tracing })
    // What traces Redis commands would make a span of each in the context that it is sent in.
    const suppressed: boolean[] = []
    const background = traced.tracing.background.bind(traced.tracing)
    background(() => suppressed.push(isTracingSuppressed(api.context.active())))
    const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
    const workers = millrace.consumerGroup(orders, { name: 'workers' }).start(() => undefined)
    await Promise.all([board.ready, workers.ready])
    await waitFor(() => (board.health().confirmedAgoMs ?? 1_000) < 100, {
      describe: 'a blocking read to come back empty',
    })
    expect(suppressed).toEqual([true])
    expect(api.trace.getActiveSpan()).toBe(span)
  })
  expect(traced.names()).toEqual([])
})

test('loops of Millrace run apart from the trace of whoever starts them', async () => {
  await using server = await startRedis()
  using traced = startTraced()
  const { tracing } = traced
  const contexts: { active: api.Span | undefined; suppressed: boolean }[] = []
  const look = (): void => {
    const context = api.context.active()
    contexts.push({
      active: api.trace.getSpan(context),
      suppressed: isTracingSuppressed(context),
    })
  }
  const instrumentation = {
    publish: tracing.publish.bind(tracing),
    // The innermost: what the loop itself runs in when it calls a handler.
    handle(_: unknown, run: () => unknown): unknown {
      look()
      return run()
    },
    background: tracing.background.bind(tracing),
  }
  const span = traced.provider.getTracer('app').startSpan('request')
  await api.context.with(api.trace.setSpan(api.ROOT_CONTEXT, span), async () => {
    await using millrace = await connect(server.url, { ...quick, instrumentation })
    const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
    const workers = millrace.consumerGroup(orders, { name: 'workers' }).start(() => undefined)
    await Promise.all([board.ready, workers.ready])
    await millrace.publish(orders, { order: 'a' })
    await waitFor(() => contexts.length === 2, { describe: 'both handlers to run' })
  })
  expect(contexts).toEqual([
    { active: undefined, suppressed: true },
    { active: undefined, suppressed: true },
  ])
})

test('without an SDK nothing is added to what is published', async () => {
  await using server = await startRedis()
  using tracing = startTracing({ api })
  await using millrace = await connect(server.url, { instrumentation: tracing })
  const { id } = await millrace.publish(orders, { order: 'a' })
  const [entry] = await server.client().xrange('mr:{orders}orders', id, id)
  expect(entry?.[1]).toEqual(['data', JSON.stringify({ order: 'a' })])
})

test('refuses options that mean nothing, all at once', () => {
  expect(() => startTracing({ api: {}, tracerProvider: {}, colour: 'red' } as never)).toThrow(
    'startTracing: colour is not an option (known: api, tracerProvider); api must be the module @opentelemetry/api; tracerProvider must be a TracerProvider',
  )
})

test('connect refuses an instrumentation that lacks functions', async () => {
  await expect(
    connect('redis://127.0.0.1:1', { instrumentation: { handle: () => undefined } as never }),
  ).rejects.toThrow('instrumentation must have the functions publish, handle and background')
})
