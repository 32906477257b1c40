import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDeliveryRecorder, type DeliveredEvent } from '../src/index.ts'

function event(id: string, key: string, sequence: number, consumer = 'board'): DeliveredEvent {
  return { id, key, sequence, consumer }
}

test('a complete and ordered delivery has nothing to report', () => {
  const recorder = createDeliveryRecorder()
  for (const n of [1, 2, 3]) recorder.record(event(`e${n}`, 'a', n))
  expect(recorder.report(['e1', 'e2', 'e3'])).toEqual({
    received: 3,
    distinct: 3,
    lost: 0,
    outOfOrder: 0,
    duplicates: 0,
    missing: [],
  })
})

test('events that never came are lost, and the first few are named', () => {
  const recorder = createDeliveryRecorder()
  recorder.record(event('e0', 'a', 0))
  const expected = Array.from({ length: 31 }, (_, n) => ({ id: `e${n}` }))
  const report = recorder.report(expected)
  expect(report.lost).toBe(30)
  expect(report.missing).toEqual(['e1', 'e2', 'e3', 'e4', 'e5', 'e6', 'e7', 'e8', 'e9', 'e10'])
})

test('a delivery that comes again is a duplicate and no disorder', () => {
  const recorder = createDeliveryRecorder()
  for (const n of [1, 2, 1, 3, 2]) recorder.record(event(`e${n}`, 'a', n))
  expect(recorder.report(['e1', 'e2', 'e3'])).toMatchObject({
    received: 5,
    distinct: 3,
    duplicates: 2,
    outOfOrder: 0,
  })
})

test('order is judged within a key, or over the whole stream', () => {
  const byKey = createDeliveryRecorder()
  const byStream = createDeliveryRecorder({ order: 'stream' })
  for (const seen of [event('e2', 'b', 2), event('e1', 'a', 1), event('e3', 'a', 3)]) {
    byKey.record(seen)
    byStream.record(seen)
  }
  expect(byKey.report(['e1', 'e2', 'e3']).outOfOrder).toBe(0)
  expect(byStream.report(['e1', 'e2', 'e3']).outOfOrder).toBe(1)
})

test('a report can be about one consumer', () => {
  const recorder = createDeliveryRecorder()
  recorder.record(event('e1', 'a', 1, 'board'))
  recorder.record(event('e2', 'a', 2, 'board'))
  recorder.record(event('e1', 'a', 1, 'search'))
  expect(recorder.report(['e1', 'e2'], { consumer: 'board' })).toMatchObject({
    received: 2,
    lost: 0,
    duplicates: 0,
  })
  expect(recorder.report(['e1', 'e2'], { consumer: 'search' })).toMatchObject({
    received: 1,
    lost: 1,
  })
})

test('whatever is dropped, repeated or swapped is counted', () => {
  const sequences = fc.integer({ min: 2, max: 40 })
  fc.assert(
    fc.property(sequences, fc.nat(), fc.nat(), fc.nat(), (count, dropAt, repeatAt, swapAt) => {
      const all = Array.from({ length: count }, (_, n) => event(`e${n}`, 'a', n))
      const kept = all.filter((_, n) => n !== dropAt % count)
      const at = swapAt % Math.max(1, kept.length - 1)
      const swapped =
        kept.length > 1 ? kept.toSpliced(at, 2, ...kept.slice(at, at + 2).toReversed()) : kept
      const again = swapped[repeatAt % swapped.length]
      const recorder = createDeliveryRecorder()
      for (const seen of [...swapped, ...(again ? [again] : [])]) recorder.record(seen)
      expect(recorder.report(all)).toEqual({
        received: count,
        distinct: count - 1,
        lost: 1,
        outOfOrder: kept.length > 1 ? 1 : 0,
        duplicates: 1,
        missing: [`e${dropAt % count}`],
      })
    }),
  )
})
