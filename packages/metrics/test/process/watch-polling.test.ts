import { channel } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { recordMetrics } from '../../src/index.ts'
import { pollChannelNames } from '../../src/process/watch-polling.ts'
import { valuesOf } from './registry-values.ts'

const adapter = new URL('../../../poll-adapter/src/diagnostics.ts', import.meta.url)
const poller = { stream: 'flights', poller: 'board' }
const at = 'stream="flights",poller="board"'

test('every channel of the poll adapter is followed', () => {
  const declared = [...readFileSync(adapter, 'utf8').matchAll(/'(millrace:poll:[^']+)'/g)]
  expect(new Set(declared.map(([, name]) => name))).toEqual(
    new Set(Object.values(pollChannelNames)),
  )
})

test('shows how migrations stand, and what shadows find', async () => {
  const registry = new Registry()
  using _ = recordMetrics({ registry })
  const switched = channel(pollChannelNames.migrationSwitched)
  switched.publish({ ...poller, from: 'poll', to: 'poll', state: 'poll', epoch: 1, why: '' })
  switched.publish({ ...poller, from: 'poll', to: 'stream', state: 'stream', epoch: 2, why: '' })
  const compared = { matched: 4, onlyPoll: 1, onlyStream: 0, outOfOrder: 0, differing: 2 }
  channel(pollChannelNames.shadowCompared).publish({ ...poller, ...compared })
  channel(pollChannelNames.shadowCompared).publish({ ...poller, ...compared, matched: 9 })
  channel(pollChannelNames.pollerFailed).publish({ ...poller, mode: 'stream' })
  const values = await valuesOf(registry)
  expect(values.get(`millrace_migration_state{${at},state="poll"}`)).toBe(0)
  expect(values.get(`millrace_migration_state{${at},state="stream"}`)).toBe(1)
  expect(values.get(`millrace_migration_switches_total{${at},to="stream"}`)).toBe(1)
  expect(values.get(`millrace_shadow_changes_total{${at},outcome="matched"}`)).toBe(9)
  expect(values.get(`millrace_shadow_changes_total{${at},outcome="only_poll"}`)).toBe(1)
  expect(values.get(`millrace_shadow_changes_total{${at},outcome="differing"}`)).toBe(2)
  expect(values.get(`millrace_poller_failures_total{${at},mode="stream"}`)).toBe(1)
})

test('shows what bridges, feeds and snapshots do', async () => {
  const registry = new Registry()
  using _ = recordMetrics({ registry })
  const stream = 'flights'
  channel(pollChannelNames.bridgePolled).publish({ stream, bridge: 'db', changes: 3 })
  channel(pollChannelNames.bridgeFailed).publish({ stream, bridge: 'db' })
  const polled = { stream, feed: 'changes', items: 5, source: 'memory', waitedMs: 400 }
  channel(pollChannelNames.feedPolled).publish(polled)
  channel(pollChannelNames.feedPolled).publish({ ...polled, items: 0, waitedMs: 0 })
  channel(pollChannelNames.feedRefused).publish({ stream, feed: 'changes', code: 'CURSOR' })
  channel(pollChannelNames.itemUnreachable).publish({ stream, feed: 'changes' })
  const snapshot = { stream, snapshot: 'all', change: 'following', keys: 7, bytes: 900 }
  channel(pollChannelNames.snapshotChanged).publish(snapshot)
  // One that tells less than it should counts what it does tell.
  channel(pollChannelNames.bridgePolled).publish({ stream, bridge: 'db' })
  const values = await valuesOf(registry)
  expect(values.get('millrace_bridge_changes_total{stream="flights",bridge="db"}')).toBe(3)
  expect(values.get('millrace_bridge_polls_total{stream="flights",bridge="db"}')).toBe(2)
  expect(values.get('millrace_bridge_failures_total{stream="flights",bridge="db"}')).toBe(1)
  const feed = 'stream="flights",feed="changes"'
  expect(values.get(`millrace_feed_polls_total{${feed},source="memory"}`)).toBe(2)
  expect(values.get(`millrace_feed_items_total{${feed}}`)).toBe(5)
  expect(values.get(`millrace_feed_wait_seconds_sum{${feed}}`)).toBeCloseTo(0.4)
  expect(values.get(`millrace_feed_refusals_total{${feed},code="CURSOR"}`)).toBe(1)
  expect(values.get(`millrace_feed_unreachable_items_total{${feed}}`)).toBe(1)
  expect(values.get('millrace_snapshot_keys{stream="flights",snapshot="all"}')).toBe(7)
})
