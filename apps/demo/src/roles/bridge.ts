import { createBridge, defineSource } from '@millrace/poll-adapter'
import { BRIDGE, flightChanges, flightCursors } from '../migration/flight-changes.ts'
import { type FlightRow, FlightTable } from '../migration/flight-table.ts'
import { type Act, play } from './role.ts'

/** It asks its own database, without any request, so it may ask often. */
const INTERVAL_MS = 10

await play(({ settings, millrace }): Act => {
  const table = new FlightTable(settings.tablePath)
  const source = defineSource<FlightRow>({
    ...flightCursors,
    fetch: (cursor, { limit }) => ({ items: table.after(Number(cursor ?? -1), limit) }),
  })
  const bridge = createBridge(millrace, flightChanges, {
    name: BRIDGE,
    source,
    minIntervalMs: INTERVAL_MS,
    maxIntervalMs: INTERVAL_MS,
  }).start()
  return {
    ready: Promise.resolve(),
    done: bridge.closed,
    close: async () => {
      await bridge.close()
      table[Symbol.dispose]()
    },
    status: () => (bridge.polling ? 'brings what is new into the stream' : 'waits for its turn'),
  }
})
