import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Change, changeId, contentHash } from '../../src/change/change.ts'
import {
  compareCursors,
  type CursorClass,
  formatCursor,
  parseCursor,
} from '../../src/change/cursor.ts'
import { SourcePosition } from '../../src/change/position.ts'

const overlap: CursorClass = {
  kind: 'overlap',
  compare: compareCursors,
  before: (cursor) => Number(cursor) - 10,
}

function change(id: string, cursor: number): Change {
  return { key: id, id, cursor, deleted: false, hash: `${id}:${cursor}` }
}

describe('cursors', () => {
  it('are ordered by value, by time, or by their characters', () => {
    expect(compareCursors(9, 10)).toBeLessThan(0)
    expect(compareCursors('9', '10')).toBeLessThan(0)
    expect(compareCursors('b', 'a')).toBeGreaterThan(0)
    expect(compareCursors('2026-01-01T10:00:00Z', '2026-01-01T10:00:00.5Z')).toBeLessThan(0)
    expect(
      compareCursors('2026-01-01T10:00:00.000001Z', '2026-01-01T10:00:00.000002Z'),
    ).toBeLessThan(0)
    expect(compareCursors('x', 'x')).toBe(0)
  })

  it('keep their kind when they are stored', () => {
    for (const cursor of [0, 1.5, '', '5', 'ä "']) {
      expect(parseCursor(formatCursor(cursor))).toBe(cursor)
    }
    expect(parseCursor(formatCursor(undefined))).toBeUndefined()
    expect(parseCursor('{broken')).toBeUndefined()
  })
})

describe('the identity of a change', () => {
  it('is the same however the fields are ordered, and another one for another content', () => {
    expect(contentHash({ a: 1, b: [{ c: 2, d: 3 }] })).toBe(
      contentHash({ b: [{ d: 3, c: 2 }], a: 1 }),
    )
    expect(contentHash({ a: 1 })).not.toBe(contentHash({ a: 2 }))
    expect(changeId('k', undefined, 'h', false)).not.toBe(changeId('k', undefined, 'h', true))
    expect(changeId('k@1', 2, 'h', false)).not.toBe(changeId('k', '1@2', 'h', false))
  })
})

describe('a position', () => {
  it('with exact cursors knows what lies at or before its cursor', () => {
    const position = new SourcePosition({ kind: 'exact', compare: compareCursors })
    expect(position.knows(change('a', 1))).toBe(false)
    position.take(change('a', 5))
    expect(position.knows(change('b', 5))).toBe(true)
    expect(position.knows(change('b', 6))).toBe(false)
    expect(position.from).toBe(5)
  })

  it('with an overlap reads a window again, and knows what of it was taken', () => {
    const position = new SourcePosition(overlap)
    position.take(change('a', 100))
    expect(position.from).toBe(90)
    expect(position.knows(change('late', 95))).toBe(false)
    position.take(change('late', 95))
    expect(position.knows(change('late', 95))).toBe(true)
    expect(position.cursor).toBe(100)
    position.take(change('b', 121))
    expect([...position.known.keys()]).toEqual(['b'])
  })

  it('with opaque cursors knows what came since the last border', () => {
    const position = new SourcePosition({ kind: 'border' })
    position.take(change('a', 0))
    expect(position.knows(change('a', 0))).toBe(true)
    position.passBorder('p1')
    expect(position.from).toBe('p1')
    expect(position.known.size).toBe(0)
  })

  it('with opaque cursors keeps what one way has brought from behind the other way’s border', () => {
    const position = new SourcePosition({ kind: 'border' })
    for (const id of ['a', 'b', 'c']) position.take(change(id, 0))
    position.beginPage()
    position.meet(change('a', 0))
    position.passBorder('p1')
    expect([...position.known.keys()]).toEqual(['b', 'c'])
  })

  it('of a snapshot does not trust the tag of what was overtaken', () => {
    const position = new SourcePosition({ kind: 'snapshot' })
    position.take(change('a', 1))
    position.passBorder('"tag"')
    expect(position.from).toBe('"tag"')
    position.doubt(['a'])
    expect(position.from).toBeUndefined()
    expect(position.knows(change('a', 1))).toBe(false)
    position.take(change('a', 2))
    expect(position.missing(new Set())).toEqual(['a'])
  })

  it.each<CursorClass>([{ kind: 'exact', compare: compareCursors }, overlap, { kind: 'border' }])(
    'keeps its place when items are in doubt, where there is a cursor ($kind)',
    (cursors) => {
      const position = new SourcePosition(cursors, 7)
      position.doubt(['a'])
      expect([position.cursor, position.known.size]).toEqual([7, 0])
      const snapshot = new SourcePosition({ kind: 'snapshot' }, '"tag"')
      snapshot.doubt([])
      expect(snapshot.from).toBe('"tag"')
    },
  )

  it('is the same again after all it told to store was stored', () => {
    const taken = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 60 })),
    )
    const kinds = fc.constantFrom<CursorClass>(
      { kind: 'exact', compare: compareCursors },
      overlap,
      { kind: 'border' },
      { kind: 'snapshot' },
    )
    fc.assert(
      fc.property(kinds, taken, fc.integer({ min: 1, max: 7 }), (cursors, changes, every) => {
        const position = new SourcePosition(cursors)
        const stored = new Map<string, string>()
        let cursor = ''
        const store = (): void => {
          const delta = position.takeDelta()
          cursor = delta.cursor
          for (const [name, value] of delta.set) stored.set(name, value)
          for (const name of delta.remove) stored.delete(name)
        }
        for (const [i, [id, at]] of changes.entries()) {
          const one = change(`c${id}`, at)
          if (!position.knows(one)) position.take(one)
          if (at % 5 === 0) position.passBorder(`p${at}`)
          if (i % every === 0) store()
        }
        store()
        const again = new SourcePosition(cursors, parseCursor(cursor), stored)
        expect(again.cursor).toBe(position.cursor)
        expect(new Map(again.known)).toEqual(new Map(position.known))
        for (const [id, at] of changes) {
          const one = change(`c${id}`, at)
          expect(again.knows(one)).toBe(position.knows(one))
        }
      }),
    )
  })
})
