import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPollAdapterError } from '@millrace/poll-adapter'
import { Table } from '../../src/snapshot/table.ts'

const limits = { name: 'test', maxKeys: 1_000, maxBytes: 1_000_000 }

/** A key and its new value; null deletes it. */
const changes = fc.array(
  fc.tuple(fc.string({ maxLength: 2 }), fc.option(fc.integer({ min: 0, max: 3 }))),
  { maxLength: 60 },
)

describe('A table', () => {
  it('has the latest values in the order of their keys, whatever came before', () => {
    fc.assert(
      fc.property(changes, fc.integer({ min: 1, max: 5 }), (list, limit) => {
        const table = new Table<number>(limits)
        const model = new Map<string, number>()
        for (const [key, value] of list) {
          const had = model.get(key)
          if (value === null) {
            expect(table.delete(key, '1-1')).toBe(model.delete(key))
          } else {
            model.set(key, value)
            expect(table.set(key, value, '1-1')).toBe(had !== value)
          }
        }
        const paged: [string, number][] = []
        let after: string | undefined
        for (;;) {
          const page = table.after(after, '', limit)
          paged.push(...page.map(({ key, value }): [string, number] => [key, value]))
          after = page.at(-1)?.key
          if (page.length < limit) break
        }
        const sorted = [...model].toSorted(([a], [b]) => (a < b ? -1 : 1))
        expect(paged).toEqual(sorted)
        // The same content has the same ETag, however it came about.
        const other = new Table<number>(limits)
        for (const [key, value] of sorted.toReversed()) other.set(key, value, '')
        expect(table.etag).toBe(other.etag)
        expect(table.bytes).toBe(other.bytes)
        if (table.keys > 0) {
          other.delete(sorted[0]?.[0] ?? '', '')
          expect(table.etag).not.toBe(other.etag)
        }
      }),
    )
  })

  it('lists the keys of a prefix', () => {
    const table = new Table<number>(limits)
    for (const key of ['b2', 'a1', 'b1', 'c', 'b']) table.set(key, 1, '')
    const keys = (after?: string): string[] => table.after(after, 'b', 9).map(({ key }) => key)
    expect(keys()).toEqual(['b', 'b1', 'b2'])
    expect(keys('a')).toEqual(['b', 'b1', 'b2'])
    expect(keys('b1')).toEqual(['b2'])
    expect(keys('c')).toEqual([])
  })

  it.each([
    ['keys', { ...limits, maxKeys: 2 }],
    ['bytes', { ...limits, maxBytes: 5 }],
  ])('refuses more %s than it may have', (_, few) => {
    const table = new Table<number>(few)
    table.set('a', 1, '')
    table.set('b', 1, '')
    expect(() => table.set('c', 10, '')).toThrow(
      expect.toSatisfy((error) => isPollAdapterError(error, 'SNAPSHOT_TOO_LARGE')),
    )
  })
})
