/**
 * A consumer in a process of its own, for tests that kill or stop it. Its parent is told when it is
 * ready, of each lease that it takes or loses, and of each event that it has handled.
 */
import { channels, connect, type ConsumerOptions, defineStream } from '../../src/index.ts'

interface Settings extends ConsumerOptions {
  readonly url: string
  readonly stream: string
  readonly sameHostTakeover?: boolean
  /** Events whose handlers never end. */
  readonly blockOn?: readonly number[]
  /** How many events may be handled in one turn of the event loop. */
  readonly perTurn?: number
}

const {
  url,
  stream,
  sameHostTakeover = true,
  blockOn = [],
  perTurn = 10,
  ...options
} = JSON.parse(process.argv[2] ?? '{}') as Settings

function tell(message: object): void {
  process.send?.(message)
}

channels.leaseChanged.subscribe(({ change, token }) => {
  tell({ lease: { change, token } })
})
const millrace = await connect(url, { sameHostTakeover, blockMs: 500 })
let turns = 0
const consumer = millrace
  .consumer(defineStream<{ n: number }>(stream), options)
  .start(async ({ id, data }, { lease }) => {
    if (blockOn.includes(data.n)) await new Promise(() => undefined)
    if (++turns % perTurn === 0) await new Promise(setImmediate)
    tell({ handled: { id, n: data.n, token: lease.token } })
  })
await consumer.ready
tell({ ready: true })
process.once('SIGTERM', () => void millrace.close())
