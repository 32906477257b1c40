import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SpoolModel, type SpoolStep } from './spool-model.ts'

const upTo = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max })
const kind = <K extends string>(word: K): fc.Arbitrary<K> => fc.constant(word)

const step: fc.Arbitrary<SpoolStep> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: kind('publish'), events: upTo(12) }) },
  {
    weight: 10,
    arbitrary: fc.record({ kind: kind('producer-acts'), closeReplyIsLost: fc.boolean() }),
  },
  { weight: 8, arbitrary: fc.record({ kind: kind('server-executes'), commands: upTo(5) }) },
  { weight: 8, arbitrary: fc.record({ kind: kind('reply-arrives'), replies: upTo(5) }) },
  { weight: 2, arbitrary: fc.constant<SpoolStep>({ kind: 'connection-dies' }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('late-copy-executes'), pick: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.constant<SpoolStep>({ kind: 'script-flush' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind('refuse'),
      reason: fc.constantFrom('loading' as const, 'out-of-memory' as const, undefined, undefined),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('failover'), forgets: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('give-up'), pick: fc.nat(30) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: kind('spool'),
      diskIsFull: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.constant<SpoolStep>({ kind: 'disk-forgets-what-is-in-the-stream' }),
  },
  { weight: 2, arbitrary: fc.constant<SpoolStep>({ kind: 'process-dies' }) },
)

const steps = fc.array(step, { minLength: 5, maxLength: 140, size: 'max' })

describe('the window with a spool', () => {
  it('loses nothing that was answered, stores nothing twice and keeps order, whatever fails or dies', () => {
    let stored = 0
    let deaths = 0
    let adoptions = 0
    fc.assert(
      fc.property(steps, (taken) => {
        const model = new SpoolModel()
        model.run(taken)
        stored += model.server.stored().length
        deaths += model.deaths
        adoptions += model.adoptions
        expect(model.problems()).toEqual([])
      }),
      { numRuns: 10_000 },
    )
    // The runs were worth something.
    expect(stored).toBeGreaterThan(10_000)
    expect(deaths).toBeGreaterThan(1_000)
    expect(adoptions).toBeGreaterThan(1_000)
  })
})
