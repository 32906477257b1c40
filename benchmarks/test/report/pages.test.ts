import { expect, test } from 'vitest'
import { contentOf } from '../../src/report/chapter.ts'
import { htmlPage } from '../../src/report/pages/html.ts'
import { markdownPage } from '../../src/report/pages/markdown.ts'
import { reportPages } from '../../src/report/outputs.ts'
import { subjects } from '../../src/report/subjects.ts'
import { drawable, resultsOf, sampleCriterion, sampleResult } from './sample-results.ts'

test('every benchmark is either measured or listed as not measured', () => {
  const content = contentOf(subjects, drawable)
  const names = [...content.chapters, ...content.notMeasured].map(({ name }) => name)
  expect(names.toSorted()).toEqual(subjects.map(({ name }) => name).toSorted())
  for (const { name } of content.notMeasured) {
    expect(markdownPage(content)).toMatch(new RegExp(`Not measured yet: .*\`${name}\``))
  }
})

test('without any result the pages say that nothing is measured', () => {
  const { markdown, html } = reportPages(resultsOf())
  expect(markdown.match(/not measured yet/g)).toHaveLength(6)
  expect(html).toContain('Not measured yet')
})

test('a result of a benchmark that there is not is refused', () => {
  expect(() => contentOf(subjects, resultsOf(sampleResult('speed')))).toThrow(
    'there is no benchmark speed',
  )
})

test('a criterion is shown with what was measured, its limit and the verdict', () => {
  const { markdown } = reportPages(
    resultsOf(
      sampleResult('latency', {
        criteria: [
          sampleCriterion('sc_001_p99'),
          sampleCriterion('p50_vs_floor', { measured: 2, unit: '×', limit: 1.5, pass: false }),
        ],
      }),
    ),
  )
  expect(markdown).toContain('| latency | `sc_001_p99` | 12.3 ms | at most 20 | pass |')
  expect(markdown).toContain('| `p50_vs_floor` | 2 × | at most 1.5 | FAIL |')
  expect(markdown).toContain('1 of 2 criteria are met. Not met: `p50_vs_floor`.')
})

test('each result has its machine, versions and commit', () => {
  const { markdown } = reportPages(resultsOf(sampleResult('latency')))
  expect(markdown).toContain(
    '| latency | `0123456789` | 2026-01-02 03:04 | v24.0.0 | Redis 7.0.15 | Some <fast> processor, linux x64, 2 CPUs, 24 GiB | 0.12 |',
  )
})

test('a short run is said to be one', () => {
  const quick = sampleResult('latency', { criteria: [sampleCriterion('a', { bound: 'quick' })] })
  const { markdown, html } = reportPages(resultsOf(quick))
  expect(markdown).toContain('latency (short run)')
  expect(html).toContain('class="warning"')
})

test('a peer that is better at something is named with it', () => {
  const { markdown } = reportPages(drawable)
  expect(markdown).toMatch(
    /Better than Millrace here: nats jetstream in throughput \(ours is 0\.8 × as much\), bullmq in time until events flow after the broker was killed \(300 against 900\)\./,
  )
})

test('the grid of resources has the ratio of each cell, net of publishing', () => {
  const html = htmlPage(contentOf(subjects, drawable))
  // At ten events a second publishing takes 10 of Millrace's 30, and 10 of the 25 of polling Redis.
  expect(html).toContain('<title>polls every 1 s, 10 events a second: 0.5 ×</title>')
  expect(html).toContain('<title>polls every 1 s, Redis, 10 events a second: 1.33 ×</title>')
})

test('of the notes, tables keep their spaces and sentences flow', () => {
  const notes = ['a   b\n--  --\n1    2', 'Polling is cheaper:\n- at night']
  const { markdown, html } = reportPages(resultsOf(sampleResult('resources', { notes })))
  expect(markdown).toContain(
    '```text\na   b\n--  --\n1    2\n```\n\nPolling is cheaper:\n- at night',
  )
  expect(html).toContain(
    '<pre>a   b\n--  --\n1    2</pre>\n<p>Polling is cheaper:</p>\n<p>- at night</p>',
  )
})

test('results are text in the page, never markup', () => {
  const html = htmlPage(contentOf(subjects, drawable))
  expect(html).toContain('Some &lt;fast&gt; processor')
  expect(html).toContain('a table  of &lt;words&gt;')
  expect(html).not.toMatch(/<fast>|<words>|NaN|undefined/)
})
