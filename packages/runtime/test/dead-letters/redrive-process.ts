import { connect, defineStream, type Event } from '../../src/index.ts'

/**
 * A consumer or a member of a group in a process of its own. Without a poison its handlers never end;
 * with one, its process dies as soon as it handles that number. Tells the start and end of handlers.
 */
const [url = '', kind = '', streamName = '', name = '', poison] = process.argv.slice(2)
const stream = defineStream<{ n: number }>(streamName)
const millrace = await connect(url, { blockMs: 500 })
const handler = async ({ data: { n } }: Event<{ n: number }>): Promise<void> => {
  process.send?.({ started: n })
  await new Promise((resolve) => {
    if (poison !== undefined) setImmediate(resolve)
  })
  if (n === Number(poison)) process.kill(process.pid, 'SIGKILL')
  process.send?.({ done: n })
}
const options = { name, leaseMs: 600, maxAttempts: 2 }
if (kind === 'group') await millrace.consumerGroup(stream, options).start(handler).ready
else await millrace.consumer(stream, options).start(handler).ready
