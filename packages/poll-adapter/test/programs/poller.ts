import { openSync, writeSync } from 'node:fs'
import { connect, defineStream } from '@millrace/runtime'
import { createPoller, pollChannels } from '@millrace/poll-adapter'
import { flightsOver, type Kind } from '../flight-kinds.ts'
import type { Flight } from '../flight-source.ts'

/**
 * One process that runs a poller over the flights of the test that started it. What it handles it appends to
 * a file that all processes share: the order there is the order in which it was handled.
 */
const [redis = '', url = '', stream = '', kind = '', file = ''] = process.argv.slice(2)
const log = openSync(file, 'a')
const millrace = await connect(redis, { deadlineMs: 5_000, blockMs: 500 })
pollChannels.pollerFailed.subscribe(({ mode, error }) => {
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : ''
  process.send?.(`${mode}: ${error.message}${cause}`)
})
createPoller<Flight, Flight | null>(millrace, defineStream<Flight | null>(stream), {
  name: 'board',
  bridge: 'flights',
  source: flightsOver(url, kind as Kind),
  handler: async (flight, { change, via, epoch }) => {
    // Like any handler with something to wait for, it lets the process do other things meanwhile.
    await new Promise((resolve) => setImmediate(resolve))
    const line = [change.key, flight?.version ?? 0, via, epoch, process.pid].join(' ')
    writeSync(log, `${line}\n`)
  },
  intervalMs: 15,
  lookEveryMs: 25,
  // Long enough for a busy machine; who was killed on this host is replaced at once.
  leaseMs: 2_000,
}).start()
