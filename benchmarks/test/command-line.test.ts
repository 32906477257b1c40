import { describe, expect, test } from 'vitest'
import { parseCommandLine, usage, UsageError } from '../src/command-line.ts'

const names = ['throughput', 'latency']
const parse = (...args: string[]): unknown => parseCommandLine(args, names)

test('a benchmark is run in full unless --quick is given', () => {
  expect(parse('latency')).toEqual({
    is: 'run',
    benchmark: 'latency',
    jsonPath: undefined,
    quick: false,
    minutes: undefined,
    policies: [],
    fullGrid: false,
    writeUsual: false,
    postgres: undefined,
  })
  expect(parse('--quick', 'latency', '--json', 'out.json')).toEqual({
    is: 'run',
    benchmark: 'latency',
    jsonPath: 'out.json',
    quick: true,
    minutes: undefined,
    policies: [],
    fullGrid: false,
    writeUsual: false,
    postgres: undefined,
  })
})

test('a benchmark over time may be told for how long and what', () => {
  expect(parse('latency', '--minutes', '0.5', '--policy', 'a', '--policy', 'b')).toMatchObject({
    minutes: 0.5,
    policies: ['a', 'b'],
  })
})

test('a database to compare with is named by its URL', () => {
  expect(parse('latency', '--postgres', 'postgres://localhost/a')).toMatchObject({
    postgres: 'postgres://localhost/a',
  })
  expect(() => parse('latency', '--postgres', 'localhost')).toThrow(UsageError)
})

test('--ci is the regression lane, and takes no other benchmark', () => {
  const lane = (...args: string[]): unknown => parseCommandLine(args, [...names, 'ci'])
  expect(lane('--ci', '--json', 'out.json')).toMatchObject({
    benchmark: 'ci',
    jsonPath: 'out.json',
  })
  expect(lane('--ci', '--write-usual')).toMatchObject({ benchmark: 'ci', writeUsual: true })
  expect(() => lane('--ci', 'latency')).toThrow(/one benchmark at a time/)
})

test('--help wins over everything that makes sense', () => {
  expect(parse('latency', '--help')).toEqual({ is: 'help' })
  expect(parse('-h')).toEqual({ is: 'help' })
})

describe('what makes no sense is refused with the reason', () => {
  test.each([
    [[], /which benchmark\? There are throughput, latency/],
    [['speed'], /speed is not a benchmark; there are throughput, latency/],
    [['latency', 'throughput'], /one benchmark at a time/],
    [['latency', '--fast'], /--fast/],
    [['latency', '--json'], /--json/],
    [['latency', '--minutes', 'soon'], /--minutes must be a number/],
    [['latency', '--minutes', '0'], /--minutes must be a number/],
    [['latency', '--json='], /--json needs the name of a file/],
  ])('%j', (args, reason) => {
    expect(() => parse(...args)).toThrow(UsageError)
    expect(() => parse(...args)).toThrow(reason)
  })
})

test('the usage names every benchmark with its summary', () => {
  const text = usage([
    { name: 'throughput', summary: 'how many' },
    { name: 'latency', summary: 'how soon' },
  ])
  expect(text).toContain('  throughput  how many\n  latency     how soon\n')
})
