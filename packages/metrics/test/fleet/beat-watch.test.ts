import { expect, it } from 'vitest'
import { BeatWatch } from '../../src/fleet/beat-watch.ts'

const holder = (token: string, beat: number) => ({ token, beat: String(beat), leaseMs: 4_000 })

it('knows nothing of one that was seen once, and counts it as alive', () => {
  expect(new BeatWatch().look([holder('a', 1)], 0)).toEqual({
    alive: 1,
    expired: 0,
    isKnown: false,
  })
})

it('sees that one is alive by its beat', () => {
  const watch = new BeatWatch()
  watch.look([holder('a', 1)], 0)
  expect(watch.look([holder('a', 5)], 15_000)).toEqual({ alive: 1, expired: 0, isKnown: true })
})

it('sees that one has expired when its beat stands still for more than a lease', () => {
  const watch = new BeatWatch()
  watch.look([holder('a', 1), holder('b', 1)], 0)
  expect(watch.look([holder('a', 1), holder('b', 2)], 4_000).expired).toBe(0)
  expect(watch.look([holder('a', 1), holder('b', 3)], 4_001)).toMatchObject({
    alive: 1,
    expired: 1,
  })
  expect(watch.look([holder('a', 2), holder('b', 4)], 9_000)).toMatchObject({
    alive: 2,
    expired: 0,
  })
})

it('takes a new token for somebody else', () => {
  const watch = new BeatWatch()
  watch.look([holder('a', 1)], 0)
  expect(watch.look([holder('b', 1)], 60_000)).toMatchObject({ alive: 1, isKnown: false })
  expect(watch.look([], 70_000)).toEqual({ alive: 0, expired: 0, isKnown: true })
})
