/**
 * A process that lives for moments: it publishes, is a member of a group and a candidate of a consumer, and
 * tells when it has handled something of its own.
 */
import { connect, defineStream } from '../../src/index.ts'

const { url, stream: name } = JSON.parse(process.argv[2] ?? '{}') as { url: string; stream: string }
/** So long that on a busy machine only the dead are revoked. */
const LEASE_MS = 2_000

const stream = defineStream<{ n: number }>(name)
const millrace = await connect(url, { blockMs: 500, sweepEveryMs: 500 })
const handled = Promise.withResolvers<void>()
const member = millrace
  .consumerGroup(stream, { name: 'pool', leaseMs: LEASE_MS })
  .start(() => handled.resolve())
const consumer = millrace
  .consumer(stream, { name: 'board', leaseMs: LEASE_MS })
  .start(() => undefined)
await Promise.all([member.ready, consumer.ready])
// Another one may get some of them, so there are several.
while ((await Promise.race([handled.promise.then(() => 'handled'), publish()])) !== 'handled');
// Before it is told that it has lived, because it is told to end at once then.
process.once('SIGTERM', () => void millrace.close().then(() => process.disconnect()))
process.send?.('lived')

async function publish(): Promise<string> {
  await millrace.publish(stream, [{ n: 1 }, { n: 2 }, { n: 3 }])
  return 'published'
}
