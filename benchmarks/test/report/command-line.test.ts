import { describe, expect, test } from 'vitest'
import { parseReportCommand, ReportUsageError } from '../../src/report/command-line.ts'

const parse = (...args: string[]): unknown => parseReportCommand(args, ['throughput', 'latency'])

test('by default the results that are there are taken', () => {
  expect(parse()).toEqual({ run: [], quick: false, results: undefined, out: undefined })
})

test('benchmarks may be run first, some or all', () => {
  expect(parse('--run', 'latency')).toMatchObject({ run: ['latency'] })
  expect(parse('--run', 'all')).toMatchObject({ run: ['throughput', 'latency'] })
})

test('--help is answered', () => {
  expect(parse('-h')).toBe('help')
})

describe('what makes no sense is refused with the reason', () => {
  test.each([
    [['--run', 'speed'], /speed cannot be run; there are throughput, latency/],
    [['--quick'], /--quick is for --run/],
    [['--run', 'all', '--quick'], /short runs are not kept/],
    [['--results', 'r'], /go together/],
    [['--out', 'o'], /go together/],
    [['--fast'], /--fast/],
  ])('%j', (args, reason) => {
    expect(() => parse(...args)).toThrow(ReportUsageError)
    expect(() => parse(...args)).toThrow(reason)
  })
})
