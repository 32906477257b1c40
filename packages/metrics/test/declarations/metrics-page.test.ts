import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { condition } from '../../src/declarations/condition.ts'
import type { Declaration } from '../../src/declarations/declaration.ts'
import { delivering } from '../../src/declarations/delivering.ts'
import { fleetMetrics } from '../../src/declarations/fleet.ts'
import { polling } from '../../src/declarations/polling.ts'
import { producing } from '../../src/declarations/producing.ts'
import { standing } from '../../src/declarations/standing.ts'

const page = fileURLToPath(new URL('../../../../docs/metrics.md', import.meta.url))

test('the page about metrics is the one that follows from the declarations', async () => {
  const sections = [
    ...section('## What a process shows about publishing', producing),
    ...section('## What a process shows about events that it handles', delivering),
    ...section('## How a process stands with Redis', standing),
    ...section('## What only an open Millrace knows', condition),
    ...section('## What the poll adapter of a process shows', polling),
    ...FLEET,
    ...section('### All of them', fleetMetrics),
  ]
  await expect([...OPENING, ...sections].join('\n')).toMatchFileSnapshot(page)
})

function section(title: string, metrics: Readonly<Record<string, Declaration>>): string[] {
  const declarations = Object.values(metrics)
  const hasInstruments = declarations.some(({ openTelemetry }) => openTelemetry !== undefined)
  const head = ['metric', 'type', 'labels', 'unit', 'meaning', 'when to worry']
  if (hasInstruments) head.splice(1, 0, 'in OpenTelemetry')
  const rows = declarations.map((one) => {
    const { name, type, labels, unit, meaning, worry, openTelemetry } = one
    const cells = [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      unit,
      `${meaning}.`,
      worry,
    ]
    if (hasInstruments)
      cells.splice(1, 0, openTelemetry === undefined ? '' : `\`${openTelemetry}\``)
    return row(cells)
  })
  return [title, '', row(head), row(head.map(() => '---')), ...rows, '']
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

const OPENING = [
  '# Metrics',
  '',
  '<!-- Generated: npm test -- packages/metrics/test/declarations/metrics-page.test.ts -u -->',
  '',
  'Every metric there is, from the declarations that the code goes by. How to begin is in the',
  '[package](../packages/metrics/README.md). There are two sources: each process shows what it does itself, and',
  'one exporter shows how all streams and groups of a Redis stand, whoever works on them.',
  '',
  '## What the figures mean',
  '',
  '- **Labels.** In a process `stream` is the name of the event stream, for the exporter it is the key in Redis;',
  '  `group` is the name of a Consumer or ConsumerGroup in both, as it is for `XINFO GROUPS`. A Reader has no name',
  '  and is called `reader`.',
  '- **Latency.** An id of an event tells the millisecond in which Redis stored it. *Publish to receive* ends when',
  '  the event has arrived in the process, and counts each event once for each consumer, at its first attempt here.',
  '  *Receive to done* and *publish to done* end when its handler has succeeded, at whatever attempt. Redriven',
  '  events are not part of them. Whoever begins at the start of an old stream sees the age of what is in it.',
  '- **The promises** can be read off directly: within 500 ms',
  '  `sum(rate(millrace_publish_to_receive_seconds_bucket{le="0.5"}[5m])) / sum(rate(millrace_publish_to_receive_seconds_count[5m]))`,',
  '  processed within 100 ms the same with `millrace_publish_to_done_seconds` and `le="0.1"`.',
  "- **Clocks.** Ids are of Redis' clock, arrivals of this machine's. Each time that metrics are looked at, a",
  '  recording that watches a Millrace asks Redis for its time, in the background, and takes the difference off every',
  '  latency from then on; `millrace_clock_offset_seconds` shows it. It is certain to half of a round trip. Without',
  '  that both clocks are taken to be the same. Of several Redis that one process uses, the clock of the first one',
  '  counts for all. A latency that comes out below nothing counts as 0.',
  '- **Deliveries and events.** `delivered`, `handled` and `redelivered` count events, `failed`, `retried` and',
  '  `interrupted` count attempts. An event that another process had started before is one more delivery there.',
  '- **Many streams.** A metric has at most `maxSeries` series in a process; further ones are counted together,',
  '  with `other` as their labels.',
  '- **Traces.** Where events carry a W3C trace context that is kept, the buckets of all latencies have its ids as',
  '  exemplars, in a registry of the OpenMetrics content type.',
  '',
] as const

const FLEET = [
  '## What the exporter shows of all streams',
  '',
  'Names and labels of the first ones are those of redis_exporter, so that dashboards made for it work.',
  '',
] as const
