import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compareIds,
  FIRST_ID,
  idAfter,
  idTimeMs,
  isStreamId,
  maxId,
  nextId,
  previousId,
} from '../../src/stream/stream-id.ts'

const MAX_PART = 2n ** 64n - 1n

/** An id as what it is: two 64-bit numbers, the first of greater weight. */
type Model = readonly [ms: bigint, sequence: bigint]

const part = fc.oneof(
  fc.bigInt({ min: 0n, max: MAX_PART }),
  fc.bigInt({ min: 0n, max: 12n }),
  fc.bigInt({ min: MAX_PART - 3n, max: MAX_PART }),
  fc.constantFrom(99n, 100n, 999_999_999_999_999n, 1_000_000_000_000_000n, 2n ** 53n),
)
const model: fc.Arbitrary<Model> = fc.tuple(part, part)

function text([ms, sequence]: Model): string {
  return `${ms}-${sequence}`
}
function value([ms, sequence]: Model): bigint {
  return (ms << 64n) + sequence
}
function ofValue(number: bigint): string {
  return text([number >> 64n, number & MAX_PART])
}

describe('Stream ids', () => {
  it('order like pairs of 64-bit numbers', () => {
    fc.assert(
      fc.property(model, model, (a, b) => {
        const expected = value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0
        expect(Math.sign(compareIds(text(a), text(b)))).toBe(expected)
        expect(maxId(text(a), text(b))).toBe(expected >= 0 ? text(a) : text(b))
      }),
      { numRuns: 2_000 },
    )
  })

  it('have the next number as their next id, up to the last one', () => {
    fc.assert(
      fc.property(model, (id) => {
        fc.pre(value(id) < value([MAX_PART, MAX_PART]))
        expect(nextId(text(id))).toBe(ofValue(value(id) + 1n))
        expect(previousId(nextId(text(id)))).toBe(text(id))
      }),
    )
  })

  it('have the number before as their previous id, and none before the first', () => {
    fc.assert(
      fc.property(model, (id) => {
        fc.pre(value(id) > 0n)
        expect(previousId(text(id))).toBe(ofValue(value(id) - 1n))
      }),
    )
    expect(previousId(FIRST_ID)).toBe(FIRST_ID)
  })

  it('count on within a millisecond as a batch does', () => {
    fc.assert(
      fc.property(model, fc.nat(512), ([ms, sequence], count) => {
        fc.pre(sequence + BigInt(count) <= MAX_PART)
        expect(idAfter(text([ms, sequence]), count)).toBe(text([ms, sequence + BigInt(count)]))
      }),
    )
  })

  it('tell the time at which Redis stored the event', () => {
    expect(idTimeMs('1700000000123-7')).toBe(1_700_000_000_123)
  })

  it('are complete, in decimal, without leading zeros', () => {
    fc.assert(
      fc.property(model, (id) => {
        expect(isStreamId(text(id))).toBe(true)
      }),
    )
    for (const wrong of [
      '',
      '1',
      '1-',
      '-1',
      '01-1',
      '1-01',
      '1-1-1',
      '1-1 ',
      '*',
      '$',
      '1-*',
      'a-b',
      '-1-1',
    ]) {
      expect(isStreamId(wrong)).toBe(false)
    }
  })
})
