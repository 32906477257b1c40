import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Model, type Step } from './window-model.ts'

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      events: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('producer-acts' as const),
      closeReplyIsLost: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('server-executes' as const),
      commands: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('reply-arrives' as const),
      replies: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'connection-dies' }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('late-copy-executes' as const), pick: fc.nat(20) }),
  },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'script-flush' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('refuse' as const),
      reason: fc.constantFrom('loading' as const, 'out-of-memory' as const, undefined, undefined),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('failover' as const), forgets: fc.nat(4) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('give-up' as const), pick: fc.nat(30) }) },
)

const steps = fc.array(step, { minLength: 5, maxLength: 120, size: 'max' })

describe('the window', () => {
  it('loses nothing, stores nothing twice, keeps order and never hangs, whatever fails', () => {
    let stored = 0
    let epochs = 0
    fc.assert(
      fc.property(steps, (taken) => {
        const model = new Model()
        model.run(taken)
        stored += model.stored().length
        epochs += model.epochs - 1
        expect(model.problems()).toEqual([])
      }),
      { numRuns: 10_000 },
    )
    // The runs were worth something: events were stored, and epochs had to be closed.
    expect(stored).toBeGreaterThan(10_000)
    expect(epochs).toBeGreaterThan(500)
  })
})
