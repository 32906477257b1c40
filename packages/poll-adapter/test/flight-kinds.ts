import { httpSnapshotSource, httpSource, type Source } from '@millrace/poll-adapter'
import type { Flight } from './flight-source.ts'

export type Kind = 'border' | 'exact' | 'overlap' | 'snapshot'

/** How far back changes may appear late in these tests. */
const OVERLAP = 40

/** The flights of an old system, seen through an endpoint of each class. */
export function flightsOver(url: string, kind: Kind): Source<Flight> {
  const key = ({ flight }: Flight): string => flight
  const version = (flight: Flight): number => flight.version
  const cursorOf = ({ seq }: Flight): number => seq
  switch (kind) {
    case 'exact':
      return httpSource<Flight>({ url: `${url}/flights`, cursors: kind, key, version, cursorOf })
    case 'overlap':
      return httpSource<Flight>({
        url: `${url}/flights`,
        cursors: kind,
        key,
        version,
        cursorOf,
        overlap: OVERLAP,
      })
    case 'border':
      return httpSource<Flight>({ url: `${url}/pages`, cursors: kind, key, version })
    case 'snapshot':
      return httpSnapshotSource<Flight>({ url: `${url}/all`, key })
    default:
      return kind satisfies never
  }
}
