import { connect, defineStream } from '@millrace/runtime'
import { createBridge, httpSnapshotSource, httpSource } from '@millrace/poll-adapter'
import type { Flight } from '../flight-source.ts'

/** One process that runs a bridge over the flights of the test that started it. */
const [redis = '', url = '', stream = '', kind = ''] = process.argv.slice(2)
const millrace = await connect(redis, { deadlineMs: 5_000 })
const key = ({ flight }: Flight): string => flight
const version = (flight: Flight): number => flight.version
const source =
  kind === 'snapshot'
    ? httpSnapshotSource<Flight>({ url: `${url}/all`, key, version })
    : httpSource<Flight>({
        url: `${url}/flights`,
        key,
        version,
        cursorOf: ({ seq }) => seq,
        ...(kind === 'overlap' ? { cursors: kind, overlap: 40 } : { cursors: 'exact' }),
      })
createBridge<Flight, Flight | null>(millrace, defineStream<Flight | null>(stream), {
  name: 'flights',
  source,
  leaseMs: 600,
  pageSize: 60,
  minIntervalMs: 1,
  maxIntervalMs: 20,
}).start()
process.send?.('ready')
