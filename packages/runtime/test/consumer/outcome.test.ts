import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resolveConsumerOptions } from '../../src/consumer/options.ts'
import { afterFailure } from '../../src/consumer/outcome.ts'
import { isMillraceError, type MillraceError } from '../../src/errors.ts'
import { UnrecoverableError } from '../../src/delivery/unrecoverable.ts'

const failure = new Error('the search index is away')

describe('After a failed attempt', () => {
  it('an event is tried again until its attempts or its time are used up, never longer', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(200_000),
        fc.nat(100_000),
        (attempt, maxAttempts, heldMs, maxHoldMs) => {
          const options = resolveConsumerOptions({ name: 'board', maxAttempts, maxHoldMs })
          const next = afterFailure(failure, attempt, heldMs, '1-1', options)
          if (next.action === 'retry') {
            expect(attempt).toBeLessThan(maxAttempts)
            expect(heldMs + next.afterMs).toBeLessThanOrEqual(maxHoldMs)
          } else {
            expect(next).toEqual({ action: 'dead-letter', reason: 'exhausted' })
          }
        },
      ),
    )
  })

  it('an event that nothing can save is not tried again', () => {
    const options = resolveConsumerOptions({ name: 'board', maxAttempts: 100 })
    expect(afterFailure(new UnrecoverableError('gone'), 1, 0, '1-1', options)).toEqual({
      action: 'dead-letter',
      reason: 'unrecoverable',
    })
  })

  it('the consumer stops where its owner wants that', () => {
    const options = resolveConsumerOptions({ name: 'board', maxAttempts: 1, onExhausted: 'stop' })
    expect(afterFailure(failure, 1, 0, '1-1', options)).toEqual({ action: 'stop' })
    expect(afterFailure(new UnrecoverableError('gone'), 1, 0, '1-1', options)).toEqual({
      action: 'stop',
    })
  })
})

describe('The options of a consumer', () => {
  it('are complete without any but the name', () => {
    expect(resolveConsumerOptions({ name: 'board' })).toMatchObject({
      from: 'earliest',
      order: 'stream',
      concurrency: 1,
      leaseMs: 4_000,
      latencyBudgetMs: 35,
      maxAttempts: 5,
      maxHoldMs: 60_000,
      onExhausted: 'dead-letter',
      signal: undefined,
    })
    expect(resolveConsumerOptions({ name: 'board', order: 'key' }).concurrency).toBe(16)
  })

  it('are refused with one error that lists all problems', () => {
    const error = problemOf({
      name: 'board',
      leaseMs: 10,
      concurrency: 4,
      retries: 3,
      from: 'yesterday',
      onExhausted: 'skip',
      backoff: { firstMs: 0, jitter: 2, cap: 1 },
      signal: {},
    })
    expect(error.code).toBe('OPTIONS_INVALID')
    const { issues } = error
    for (const name of ['leaseMs', 'concurrency', 'retries', 'from', 'onExhausted', 'signal']) {
      expect(
        issues.filter((issue) => issue.startsWith(name)),
        name,
      ).toHaveLength(1)
    }
    for (const name of ['firstMs', 'jitter', 'cap']) {
      expect(
        issues.filter((issue) => issue.startsWith(`backoff.${name}`)),
        name,
      ).toHaveLength(1)
    }
    expect(issues).toHaveLength(9)
    for (const issue of issues) expect(error.message).toContain(issue)
  })

  it.each(['', 'a b', 'a/b', '{board}', 'ä', 'x'.repeat(129), 7, undefined])(
    'refuse the name %j',
    (name) => {
      expect(problemOf({ name }).code).toBe('OPTIONS_INVALID')
    },
  )
})

/** The error for options as a program without types may pass them. */
function problemOf(options: Record<string, unknown>): MillraceError {
  try {
    resolveConsumerOptions(options as unknown as { name: string })
  } catch (error) {
    if (isMillraceError(error)) return error
    throw error
  }
  throw new Error('the options were accepted')
}
