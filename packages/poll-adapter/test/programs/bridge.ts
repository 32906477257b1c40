import { connect, defineStream } from '@millrace/runtime'
import { createBridge } from '@millrace/poll-adapter'
import { flightsOver, type Kind } from '../flight-kinds.ts'
import type { Flight } from '../flight-source.ts'

/** One process that runs a bridge over the flights of the test that started it. */
const [redis = '', url = '', stream = '', kind = ''] = process.argv.slice(2)
const millrace = await connect(redis, { deadlineMs: 5_000 })
createBridge<Flight, Flight | null>(millrace, defineStream<Flight | null>(stream), {
  name: 'flights',
  source: flightsOver(url, kind as Kind),
  leaseMs: 600,
  pageSize: 60,
  minIntervalMs: 1,
  maxIntervalMs: 20,
}).start()
process.send?.('ready')
