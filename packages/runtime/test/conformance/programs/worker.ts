import { connect, defineStream, type Event } from '../../../src/index.ts'
import type { Reading } from '../bed.ts'
import { idsOf } from '../ids-of.ts'
import type { WorkerMessage, WorkerPlan } from '../worker-process.ts'

/** One process of a case: a consumer, a member of a group, or a producer that publishes without end. */
const plan = JSON.parse(process.argv[2] ?? '') as WorkerPlan
const { role } = plan
const stream = defineStream<Reading>(plan.stream)
const millrace = await connect(plan.address, {
  prefix: plan.prefix,
  blockMs: 500,
  sameHostTakeover: plan.sameHostTakeover ?? true,
})

/**
 * Resolves when the message has left this process: what was told is known even if this one is killed
 * now. Like any handler with something to wait for, it lets the process do other things meanwhile.
 */
function tell(message: WorkerMessage): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, () => {
      setImmediate(resolve)
    })
  })
}

function handle(event: Event<Reading>, token: string): Promise<void> {
  return tell({ tells: 'handled', id: event.id, n: event.data.n, token })
}

switch (role.is) {
  case 'consumer': {
    const { is: _, ...options } = role
    const consumer = millrace
      .consumer(stream, { ...options, latencyBudgetMs: 0 })
      .start((event, { lease }) => handle(event, lease.token))
    await consumer.ready
    await tell({ tells: 'ready' })
    break
  }
  case 'member': {
    const { is: _, hangsAtFirst = false, ...options } = role
    let hangs = hangsAtFirst
    const member = millrace
      .consumerGroup(stream, options)
      .start(async (event, { lease, signal }) => {
        await handle(event, lease.token)
        if (!hangs) return
        hangs = false
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      })
    await member.ready
    await tell({ tells: 'ready' })
    break
  }
  case 'producer': {
    const producer = millrace.producer(stream, { producerId: role.producerId })
    await tell({ tells: 'ready' })
    for (let first = 0; ; first += 20) {
      const results = await producer.publishMany(
        Array.from({ length: 20 }, (_, i) => ({ n: first + i })),
      )
      await Promise.all(
        idsOf(results).map((id, i) => tell({ tells: 'published', id, n: first + i })),
      )
    }
  }
}
