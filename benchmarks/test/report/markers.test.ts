import { describe, expect, test } from 'vitest'
import { fillMarkers, NOT_MEASURED, withoutMarkers } from '../../src/report/markers.ts'
import { resultsOf, sampleCriterion, sampleResult } from './sample-results.ts'
import { unmarkedFigures } from './unmarked-figures.ts'

const results = resultsOf(
  sampleResult('latency', {
    criteria: [sampleCriterion('sc_001_p99', { measured: 26.04 })],
    ratios: { p50_vs_floor: 0.4321, 'cpu_vs_poll_12p_0.1eps': 0.25 },
    values: { handled: 123_456 },
  }),
)
const marked = (source: string, text: string): string =>
  `<!-- figure:${source} -->${text}<!-- /figure -->`

test('a marker is given the figure that it names, and the text around it stays', () => {
  const page = `p50 is ${marked('latency.ratios.p50_vs_floor', 'old')} × the floor,\np99 ${marked('latency.criteria.sc_001_p99', '')} ms.`
  expect(fillMarkers(page, results)).toBe(
    `p50 is ${marked('latency.ratios.p50_vs_floor', '0.432')} × the floor,\np99 ${marked('latency.criteria.sc_001_p99', '26')} ms.`,
  )
})

test.each([
  ['latency.values.handled', '123,456'],
  ['latency.ratios.cpu_vs_poll_12p_0.1eps', '0.25'],
  ['latency.ratios.cpu_vs_poll_12p_0.1eps as percent', '25 %'],
  ['fanout.ratios.anything', NOT_MEASURED],
])('%s is written as %s', (source, text) => {
  expect(fillMarkers(marked(source, 'old'), results)).toBe(marked(source, text))
})

test.each([
  ['latency.ratios.p50', /the result of latency has no ratios\.p50/],
  ['latency.p50', /latency\.p50 is not/],
  ['latency.values.handled as words', /no form words/],
])('the marker %s is refused', (source, reason) => {
  expect(() => fillMarkers(marked(source, ''), results)).toThrow(reason)
})

test('filling twice changes nothing', () => {
  const once = fillMarkers(marked('latency.values.handled', ''), results)
  expect(fillMarkers(once, results)).toBe(once)
})

test('without its markers a page has its own words only', () => {
  expect(withoutMarkers(`p99 ${marked('latency.criteria.sc_001_p99', '26')} ms`)).toBe('p99  ms')
})

describe('a figure without a marker is found', () => {
  test.each([
    ['The p99 is 12 ms on one machine.'],
    ['It is 3.5 times as fast, as\nwe measured.'],
    ['- Publishing took 0.1 s.'],
    ['| | CPU of the client |\n| --- | --- |\n| polling | 1.9 s |'],
    ['A throughput of 120k/s.'],
  ])('%j', (page) => {
    expect(unmarkedFigures(page)).toHaveLength(1)
  })
})

describe('what only sounds like one is not', () => {
  test.each([
    ['A lease is 4 s by default.'],
    ['```\np99 12 ms\n```'],
    [`The p99 is ${marked('latency.criteria.sc_001_p99', '26 ms')}.`],
    ['The p99 is what counts. Wait for `timeoutMs`, 5 s.'],
  ])('%j', (page) => {
    expect(unmarkedFigures(page)).toEqual([])
  })
})
