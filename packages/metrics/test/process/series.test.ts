import fc from 'fast-check'
import { expect, test } from 'vitest'
import { delivering } from '../../src/declarations/delivering.ts'
import { Board } from '../../src/process/board.ts'
import { HistogramSeries } from '../../src/process/series.ts'

test('each value lies in the first bucket whose bound it does not pass, and counts once', () => {
  const bounds = [0.1, 1, 10]
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 100, noNaN: true })), (values) => {
      const series = new HistogramSeries({}, bounds, new Set())
      for (const value of values) series.observe(value)
      const cumulative = bounds.map((_, i) =>
        series.counts.slice(0, i + 1).reduce((sum, one) => sum + one, 0),
      )
      expect(cumulative).toEqual(
        bounds.map((bound) => values.filter((value) => value <= bound).length),
      )
      expect(series.count).toBe(values.length)
      expect(series.sum).toBeCloseTo(
        values.reduce((sum, one) => sum + one, 0),
        6,
      )
    }),
  )
})

test('spans in columns count as each of them would by itself, and are echoed', () => {
  const moment = fc.double({ min: -2_000, max: 20_000, noNaN: true })
  fc.assert(
    fc.property(fc.array(fc.array(fc.tuple(moment, moment))), (batches) => {
      const echoed: number[] = []
      const echo = (value: number): void => void echoed.push(value)
      const one = new HistogramSeries({}, [0.1, 1, 10], new Set())
      const many = new HistogramSeries({}, [0.1, 1, 10], new Set([echo]))
      const seconds = batches.flat().map(([from, to]) => Math.max(to - from, 0) / 1_000)
      for (const value of seconds) one.observe(value)
      for (const batch of batches) {
        const from = Float64Array.from([...batch.map(([first]) => first), 99_999])
        const to = Float64Array.from([...batch.map(([, last]) => last), 0])
        many.observeSpans(from, to, batch.length)
      }
      expect(many.counts).toEqual(one.counts)
      expect(many.sum).toBeCloseTo(one.sum, 6)
      expect(echoed).toEqual(seconds)
    }),
  )
})

test('keeps the last sampled trace of each bucket as its example', () => {
  const series = new HistogramSeries({}, [1], new Set())
  const of = (trace: string, flags: string): string =>
    `00-${trace.repeat(32)}-${'1'.repeat(16)}-${flags}`
  series.observe(0.5, of('a', '01'))
  series.observe(0.6, of('b', '03'))
  series.observe(0.7, of('c', '00'))
  series.observe(0.8, 'nonsense')
  // What a later version of the standard appends changes nothing.
  series.observe(2, `${of('d', '01')}-more`)
  expect(series.exemplar(0)).toMatchObject({
    traceId: 'b'.repeat(32),
    spanId: '1'.repeat(16),
    value: 0.6,
  })
  expect(series.exemplar(1)).toMatchObject({ traceId: 'd'.repeat(32), value: 2 })
  series.reset()
  expect(series.exemplar(1)).toBeUndefined()
})

test('gauges are brought up to date once for all who look at the same time', async () => {
  const board = new Board(10)
  let refreshed = 0
  board.onRefresh(async () => {
    await Promise.resolve()
    refreshed++
  })
  board.onRefresh(() => {
    throw new Error('one that fails does not keep the others from it')
  })
  await Promise.all([board.refresh(), board.refresh(), board.refresh()])
  expect(refreshed).toBe(1)
  await board.refresh()
  expect(refreshed).toBe(2)
})

test('a series is found again by the values of its labels', () => {
  const board = new Board(2)
  const metric = board.values(delivering.handled)
  metric.at('orders', 'board').value++
  expect(metric.at('orders', 'board')).toEqual({
    labels: { stream: 'orders', group: 'board' },
    value: 1,
  })
})
