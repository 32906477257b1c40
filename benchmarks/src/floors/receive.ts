import { Redis } from 'ioredis'
import { serve } from '../harness/program.ts'
import type { Received, ReceiverProgram, ReceiveTask } from '../latency/program.ts'
import { Latencies } from '../load/latencies.ts'
import { type Lap, stopwatch } from '../load/stopwatch.ts'
import type { TimedEvent } from '../load/timed-event.ts'

// The floor of latency: a hand-written loop around a blocked XREADGROUP COUNT 100, with one XACK for
// what a read brought.
const GROUP = 'bench'
const BLOCK_MS = 2_000

type Reply = [key: string, entries: [id: string, fields: string[]][]][] | null

let latencies: Latencies
let stop: () => Lap

serve({
  async open({ place, events, warmUp }: ReceiveTask) {
    const redis = new Redis(place.url)
    const key = `${place.prefix}timed`
    await redis.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM')
    latencies = new Latencies({ events, warmUp })
    stop = stopwatch()
    void receive(redis, key)
  },

  async received(): Promise<Received> {
    await latencies.complete
    const { p50, p95, p99, max } = latencies.spread()
    return {
      p50Ms: p50,
      p95Ms: p95,
      p99Ms: p99,
      maxMs: max,
      ...latencies.curve(),
      within500Ms: latencies.shareWithin(500),
      cpuMs: stop().cpuMs,
    }
  },
} satisfies ReceiverProgram)

async function receive(redis: Redis, key: string): Promise<void> {
  for (;;) {
    const reply = (await redis.xreadgroup(
      'GROUP',
      GROUP,
      'one',
      'COUNT',
      100,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      key,
      '>',
    )) as Reply
    const entries = reply?.[0]?.[1] ?? []
    if (entries.length === 0) continue
    for (const [, fields] of entries) latencies.see(JSON.parse(fields[1] ?? '') as TimedEvent)
    await redis.xack(key, GROUP, ...entries.map(([id]) => id))
  }
}
