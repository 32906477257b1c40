import { connect, defineStream } from '../../src/index.ts'

/** A consumer whose process dies as soon as it handles the event with the poisonous number. */
const [url = '', poison = ''] = process.argv.slice(2)
const stream = defineStream<{ n: number }>('events')
const millrace = await connect(url)
const consumer = millrace
  .consumer(stream, { name: 'victim', maxAttempts: 2, latencyBudgetMs: 0 })
  .start(async (event, { attempt }) => {
    await Promise.resolve()
    if (event.data.n === Number(poison)) process.kill(process.pid, 'SIGKILL')
    process.send?.({ n: event.data.n, attempt })
  })
await consumer.ready
