import { createBridge, defineSource } from '@millrace/poll-adapter'
import { nowMs } from '../clock.ts'
import { loadFlightRecords } from '../flights/flight-records.ts'
import { updateOf } from '../flights/flight-updates.ts'
import { ReplaySchedule } from '../flights/replay-schedule.ts'
import { BRIDGE, flightChanges, flightCursors } from '../migration/flight-changes.ts'
import { type FlightRow, FlightTable } from '../migration/flight-table.ts'
import { OldApi } from '../migration/old-api.ts'
import { type Act, play } from './role.ts'

/** How often it looks at the clock; what became due since then is written together. */
const TICK_MS = 2

/** The bridge asks the table, without any request, so it may ask often. */
const BRIDGE_EVERY_MS = 20

await play(async ({ settings, millrace, journal, tell }): Promise<Act> => {
  const schedule = new ReplaySchedule(await loadFlightRecords(), settings.eventsPerSecond)
  const table = new FlightTable(settings.tablePath)
  const api = new OldApi(table)
  const bridge = createBridge(millrace, flightChanges, {
    name: BRIDGE,
    source: defineSource<FlightRow>({
      ...flightCursors,
      fetch: (cursor, { limit }) => ({ items: table.after(Number(cursor ?? -1), limit) }),
    }),
    minIntervalMs: BRIDGE_EVERY_MS,
    maxIntervalMs: BRIDGE_EVERY_MS,
  })
  tell({ is: 'serving', url: await api.listen() })
  const startedAtMs = nowMs()
  let sequence = 0
  const timer = setInterval(() => {
    const atMs = nowMs()
    const rows: FlightRow[] = []
    while (schedule.dueMs(sequence) <= atMs - startedAtMs) {
      rows.push({ sequence, publishedAtMs: atMs, update: updateOf(schedule.record(sequence)) })
      sequence += 1
    }
    if (rows.length === 0) return
    table.insert(rows)
    for (const { sequence: written, publishedAtMs } of rows) {
      journal.append({
        sequence: written,
        id: `0-${written}`,
        publishedAtMs,
        atMs: nowMs(),
        redelivered: false,
      })
    }
  }, TICK_MS)
  return {
    ready: Promise.resolve(),
    done: new Promise(() => undefined),
    publish: () => {
      bridge.start()
    },
    stop: () => {
      clearInterval(timer)
    },
    close: async () => {
      clearInterval(timer)
      await bridge.close()
      await api[Symbol.asyncDispose]()
      table[Symbol.dispose]()
    },
    status: () => `${sequence} flights written`,
  }
})
