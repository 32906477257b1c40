import {
  type Dashboard,
  DashboardBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder } from '@grafana/grafana-foundation-sdk/timeseries'
import { delivering } from '../src/declarations/delivering.ts'
import { condition } from '../src/declarations/condition.ts'
import { fleetMetrics } from '../src/declarations/fleet.ts'
import { polling } from '../src/declarations/polling.ts'
import { producing } from '../src/declarations/producing.ts'
import { standing } from '../src/declarations/standing.ts'

/** One chart: what it shows, in which unit, and the queries with their legends. */
interface Chart {
  readonly title: string
  /** When to look closer, for whoever looks at it. */
  readonly description: string
  readonly unit: string
  readonly queries: readonly (readonly [expression: string, legend: string])[]
}

interface Section {
  readonly title: string
  readonly charts: readonly Chart[]
}

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }
/** Of the fleet exporter, whose `stream` is a key, and of processes, where it is the event stream's name. */
const KEY = 'stream=~"$key"'
const STREAM = 'stream=~"$stream"'
const RATE = '$__rate_interval'
const READER = '{{group}} of {{stream}}'

const fleet = fleetMetrics

const READERS: Section = {
  title: 'Consumers and groups, from the fleet exporter',
  charts: [
    {
      title: 'Verdicts',
      description: 'How many consumers and groups are ok, lagging, stalled, stopped or rewound.',
      unit: 'short',
      queries: [[`sum by (verdict) (${fleet.groupVerdict.name}{${KEY}})`, '{{verdict}}']],
    },
    {
      title: 'Lag in events',
      description: fleet.groupLag.worry,
      unit: 'short',
      queries: [[`topk(20, ${fleet.groupLag.name}{${KEY}})`, READER]],
    },
    {
      title: 'Lag in time',
      description: fleet.groupLagAge.worry,
      unit: 's',
      queries: [[`topk(20, ${fleet.groupLagAge.name}{${KEY}})`, READER]],
    },
    {
      title: 'Pending, and the oldest of it',
      description: fleet.groupOldestPendingAge.worry,
      unit: 'short',
      queries: [
        [`topk(10, ${fleet.groupPending.name}{${KEY}})`, `${READER}: events`],
        [`topk(10, ${fleet.groupOldestPendingAge.name}{${KEY}})`, `${READER}: seconds`],
      ],
    },
    {
      title: 'Pending events by deliveries',
      description: fleet.groupPendingByDeliveries.worry,
      unit: 'short',
      queries: [
        [`sum by (deliveries) (${fleet.groupPendingByDeliveries.name}{${KEY}})`, '{{deliveries}}'],
      ],
    },
    {
      title: 'Members',
      description: fleet.groupMembers.worry,
      unit: 'short',
      queries: [[`sum by (standing) (${fleet.groupMembers.name}{${KEY}})`, '{{standing}}']],
    },
    {
      title: 'Dead letters',
      description: fleet.groupDeadLetters.worry,
      unit: 'short',
      queries: [[`topk(20, ${fleet.groupDeadLetters.name}{${KEY}})`, READER]],
    },
    {
      title: 'Events expired unread',
      description: fleet.groupExpired.worry,
      unit: 'short',
      queries: [[`topk(20, increase(${fleet.groupExpired.name}{${KEY}}[${RATE}]))`, READER]],
    },
    {
      title: 'Time left until unread events expire',
      description: fleet.groupHeadroom.worry,
      unit: 's',
      queries: [[`bottomk(20, ${fleet.groupHeadroom.name}{${KEY}})`, READER]],
    },
  ],
}

const STREAMS: Section = {
  title: 'Event streams, from the fleet exporter',
  charts: [
    {
      title: 'Events added',
      description: fleet.streamEntriesAdded.worry,
      unit: 'cps',
      queries: [
        [`topk(20, rate(${fleet.streamEntriesAdded.name}{${KEY}}[${RATE}]))`, '{{stream}}'],
      ],
    },
    {
      title: 'Length',
      description: 'How many events a stream holds.',
      unit: 'short',
      queries: [[`topk(20, ${fleet.streamLength.name}{${KEY}})`, '{{stream}}']],
    },
    {
      title: 'Reach back',
      description: fleet.streamOldestAge.worry,
      unit: 's',
      queries: [[`topk(20, ${fleet.streamOldestAge.name}{${KEY}})`, '{{stream}}']],
    },
    {
      title: 'Memory of streams',
      description: fleet.streamBytes.worry,
      unit: 'bytes',
      queries: [[`topk(20, ${fleet.streamBytes.name}{${KEY}})`, '{{stream}}']],
    },
    {
      title: 'Memory of servers',
      description: fleet.memoryUsed.worry,
      unit: 'bytes',
      queries: [
        [fleet.memoryUsed.name, '{{node}}: used'],
        [fleet.memoryLimit.name, '{{node}}: limit'],
      ],
    },
    {
      title: 'Exporter',
      description: 'What the exporter asks of Redis, and whether every server answers.',
      unit: 'short',
      queries: [
        [fleet.scrapeCommands.name, 'commands per scrape'],
        [fleet.scrapeDuration.name, 'seconds per scrape'],
        [fleet.up.name, '{{node}} answers'],
        [`sum by (kind) (rate(${fleet.scrapeErrors.name}[${RATE}]))`, 'errors: {{kind}}'],
      ],
    },
  ],
}

const quantile = (share: number, name: string): string =>
  `histogram_quantile(${share}, sum by (le, stream, group) (rate(${name}_bucket{${STREAM}}[${RATE}])))`

const PROCESSES: Section = {
  title: 'Processes, from inside',
  charts: [
    {
      title: 'Published',
      description: producing.published.worry,
      unit: 'cps',
      queries: [
        [`sum by (stream) (rate(${producing.published.name}{${STREAM}}[${RATE}]))`, '{{stream}}'],
      ],
    },
    {
      title: 'Time to publish, 99 %',
      description: producing.publishDuration.worry,
      unit: 's',
      queries: [
        [
          `histogram_quantile(0.99, sum by (le, stream) (rate(${producing.publishDuration.name}_bucket{${STREAM}}[${RATE}])))`,
          '{{stream}}',
        ],
      ],
    },
    {
      title: 'From publish to receive, 99 %',
      description: delivering.publishToReceive.worry,
      unit: 's',
      queries: [[quantile(0.99, delivering.publishToReceive.name), READER]],
    },
    {
      title: 'From publish to done, 50 % and 95 %',
      description: delivering.publishToDone.worry,
      unit: 's',
      queries: [
        [quantile(0.5, delivering.publishToDone.name), `${READER}: 50 %`],
        [quantile(0.95, delivering.publishToDone.name), `${READER}: 95 %`],
      ],
    },
    {
      title: 'Handled and failed',
      description: delivering.failed.worry,
      unit: 'cps',
      queries: [
        [
          `sum by (stream, group) (rate(${delivering.handled.name}{${STREAM}}[${RATE}]))`,
          `${READER}: handled`,
        ],
        [
          `sum by (stream, group) (rate(${delivering.failed.name}{${STREAM}}[${RATE}]))`,
          `${READER}: failed`,
        ],
      ],
    },
    {
      title: 'In flight, and credit',
      description: condition.inFlight.worry,
      unit: 'short',
      queries: [
        [`sum by (stream, group) (${condition.inFlight.name}{${STREAM}})`, `${READER}: in flight`],
        [`sum by (stream, group) (${condition.credit.name}{${STREAM}})`, `${READER}: credit`],
      ],
    },
    {
      title: 'How readers stand',
      description: condition.readState.worry,
      unit: 'short',
      queries: [[`sum by (state) (${condition.readState.name}{${STREAM}})`, '{{state}}']],
    },
    {
      title: 'Leases',
      description: standing.leaseChanges.worry,
      unit: 'short',
      queries: [
        [
          `sum by (change) (increase(${standing.leaseChanges.name}{${STREAM}}[${RATE}]))`,
          '{{change}}',
        ],
      ],
    },
    {
      title: 'Pressure',
      description: producing.pressure.worry,
      unit: 'short',
      queries: [
        [`max by (stream, level) (${producing.pressure.name}{${STREAM}})`, '{{stream}}: {{level}}'],
      ],
    },
    {
      title: 'Spools',
      description: producing.spoolEvents.worry,
      unit: 'short',
      queries: [
        [`sum by (stream) (${producing.spoolEvents.name}{${STREAM}})`, '{{stream}}: events'],
        [`max by (stream) (${producing.spoolAge.name}{${STREAM}})`, '{{stream}}: seconds'],
      ],
    },
    {
      title: 'Connections',
      description: standing.connectionsOpened.worry,
      unit: 'short',
      queries: [
        [`sum by (purpose) (${standing.connections.name})`, '{{purpose}}'],
        [
          `sum by (purpose) (increase(${standing.connectionsOpened.name}[${RATE}]))`,
          '{{purpose}}, opened',
        ],
      ],
    },
  ],
}

const sumOf = (labels: string, change: 'increase' | 'rate', { name }: { name: string }): string =>
  `sum by (stream, ${labels}) (${change}(${name}{${STREAM}}[${RATE}]))`

const POLLING: Section = {
  title: 'Pollers, bridges and feeds, from inside',
  charts: [
    {
      title: 'How migrations stand',
      description:
        'Which state holds for each poller; several at once: processes have not all heard yet.',
      unit: 'short',
      queries: [
        [
          `sum by (stream, poller, state) (${polling.migrationState.name}{${STREAM}}) > 0`,
          '{{poller}} of {{stream}}: {{state}}',
        ],
      ],
    },
    {
      title: 'What shadows find',
      description: polling.shadow.worry,
      unit: 'cps',
      queries: [
        [sumOf('poller, outcome', 'rate', polling.shadow), '{{poller}} of {{stream}}: {{outcome}}'],
      ],
    },
    {
      title: 'Pollers: switches and failures',
      description: polling.pollerFailures.worry,
      unit: 'short',
      queries: [
        [
          sumOf('poller, to', 'increase', polling.migrationSwitches),
          '{{poller}} of {{stream}}: to {{to}}',
        ],
        [
          sumOf('poller, mode', 'increase', polling.pollerFailures),
          '{{poller}} of {{stream}}: failures in {{mode}}',
        ],
      ],
    },
    {
      title: 'Bridges',
      description: polling.bridgePolls.worry,
      unit: 'cps',
      queries: [
        [sumOf('bridge', 'rate', polling.bridgePolls), '{{bridge}} to {{stream}}: polls'],
        [sumOf('bridge', 'rate', polling.bridgeChanges), '{{bridge}} to {{stream}}: changes'],
        [sumOf('bridge', 'rate', polling.bridgeFailures), '{{bridge}} to {{stream}}: failures'],
      ],
    },
    {
      title: 'Cursor feeds',
      description: polling.feedPolls.worry,
      unit: 'cps',
      queries: [
        [
          sumOf('feed, source', 'rate', polling.feedPolls),
          '{{feed}} of {{stream}}: polls out of {{source}}',
        ],
        [sumOf('feed', 'rate', polling.feedItems), '{{feed}} of {{stream}}: items'],
      ],
    },
    {
      title: 'How long polls wait, 50 % and 95 %',
      description:
        'Long polls of a quiet stream wait for as long as they may; those of a busy one hardly.',
      unit: 's',
      queries: [0.5, 0.95].map((share) => [
        `histogram_quantile(${share}, sum by (le, stream, feed) (rate(${polling.feedWait.name}_bucket{${STREAM}}[${RATE}])))`,
        `{{feed}} of {{stream}}: ${share * 100} %`,
      ]),
    },
    {
      title: 'Polls refused, and items out of reach',
      description: polling.feedUnreachable.worry,
      unit: 'short',
      queries: [
        [sumOf('feed, code', 'increase', polling.feedRefusals), '{{feed}} of {{stream}}: {{code}}'],
        [
          sumOf('feed', 'increase', polling.feedUnreachable),
          '{{feed}} of {{stream}}: out of reach',
        ],
      ],
    },
    {
      title: 'Snapshots: keys, and what becomes of them',
      description: polling.snapshotChanges.worry,
      unit: 'short',
      queries: [
        [
          `max by (stream, snapshot) (${polling.snapshotKeys.name}{${STREAM}})`,
          '{{snapshot}} of {{stream}}: keys',
        ],
        [
          sumOf('snapshot, change', 'increase', polling.snapshotChanges),
          '{{snapshot}} of {{stream}}: {{change}}',
        ],
      ],
    },
    {
      title: 'Memory of snapshots',
      description: polling.snapshotBytes.worry,
      unit: 'bytes',
      queries: [
        [
          `max by (stream, snapshot) (${polling.snapshotBytes.name}{${STREAM}})`,
          '{{snapshot}} of {{stream}}',
        ],
      ],
    },
  ],
}

const SECTIONS: readonly Section[] = [READERS, STREAMS, PROCESSES, POLLING]

/** All expressions of the dashboard, with Grafana's variables in them. */
export const dashboardQueries: readonly string[] = SECTIONS.flatMap(({ charts }) =>
  charts.flatMap(({ queries }) => queries.map(([expression]) => expression)),
)

/** The dashboard as Grafana reads it; `millrace.json` beside this file is what this answers. */
export function buildDashboard(): Dashboard {
  const dashboard = new DashboardBuilder('Millrace')
    .uid('millrace')
    .description('Event streams, their consumers and groups, and the processes that use them.')
    .tags(['millrace', 'redis'])
    .refresh('30s')
    .time({ from: 'now-1h', to: 'now' })
    .withVariable(
      new DatasourceVariableBuilder('datasource').type('prometheus').label('Data source'),
    )
    .withVariable(choice('key', 'Key', `label_values(${fleet.streamLength.name}, stream)`))
    .withVariable(choice('stream', 'Event stream', `label_values(${fleet.streamInfo.name}, name)`))
  for (const { title, charts } of SECTIONS) {
    dashboard.withRow(new RowBuilder(title))
    for (const chart of charts) dashboard.withPanel(panelOf(chart))
  }
  return dashboard.build()
}

function choice(name: string, label: string, query: string): QueryVariableBuilder {
  return (
    new QueryVariableBuilder(name)
      .label(label)
      .datasource(DATASOURCE)
      .query(query)
      .multi(true)
      .includeAll(true)
      .allValue('.*')
      .refresh(VariableRefresh.OnTimeRangeChanged)
      // oxlint-disable-next-line unicorn/no-array-sort -- it is no array
      .sort(VariableSort.AlphabeticalAsc)
  )
}

function panelOf({ title, description, unit, queries }: Chart): PanelBuilder {
  const panel = new PanelBuilder()
    .title(title)
    .description(description)
    .unit(unit)
    .min(0)
    .height(8)
    .span(8)
    .datasource(DATASOURCE)
  for (const [index, [expression, legend]] of queries.entries()) {
    const refId = String.fromCodePoint(65 + index)
    panel.withTarget(
      new DataqueryBuilder()
        .expr(expression)
        .legendFormat(legend)
        .refId(refId)
        .datasource(DATASOURCE),
    )
  }
  return panel
}
