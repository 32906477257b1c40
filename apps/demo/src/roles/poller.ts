import { tickLoop } from '@millrace/poll-adapter'
import { nowMs } from '../clock.ts'
import { BRIDGE, flightChanges, flightCursors } from '../migration/flight-changes.ts'
import type { FlightRow } from '../migration/flight-table.ts'
import type { FlightPage } from '../migration/old-api.ts'
import { openService } from '../migration/service.ts'
import { type Act, play } from './role.ts'

const EVERY_MS = 1_000

await play(async ({ settings, millrace, journal, countRequest }): Promise<Act> => {
  const service = await openService(settings.consumer)
  const loop = tickLoop<FlightRow>({
    name: settings.consumer,
    every: EVERY_MS,
    fetch: async (cursor, { signal, limit }) => {
      countRequest()
      const since = cursor === undefined ? '' : `&since=${cursor}`
      const response = await fetch(`${settings.apiUrl}?limit=${limit}${since}`, { signal })
      return (await response.json()) as FlightPage
    },
    handler: ({ sequence, publishedAtMs, update }) => {
      const atMs = nowMs()
      service.handle(update)
      journal.append({ sequence, id: `0-${sequence}`, publishedAtMs, atMs, redelivered: false })
    },
    migration: { millrace, stream: flightChanges, bridge: BRIDGE, ...flightCursors },
  }).start()
  return {
    ready: Promise.resolve(),
    done: loop.closed,
    close: () => loop.close(),
    status: () => service.status(),
  }
})
