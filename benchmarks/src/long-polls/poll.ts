import { spreadOf } from '../harness/statistics.ts'
import { serve } from '../harness/program.ts'
import type { PollingProgram } from './program.ts'
import { WaitingClients } from './waiting-clients.ts'

// Old clients: each asks again with the cursor that it was given, on a connection that stays open.
const WAIT_S = 30

serve({
  async poll({ url, pollers, events, warmUp }) {
    const latenciesMs: number[] = []
    const due = new Uint32Array(pollers)
    const clients = new WaitingClients(url, WAIT_S, (poller, { item, atUs }) => {
      const { sequence, sentUs } = item
      const awaited = due[poller]
      if (sequence !== awaited) {
        throw new Error(`event ${sequence} came where ${String(awaited)} was due`)
      }
      due[poller] = awaited + 1
      if (sequence >= warmUp) latenciesMs.push((atUs - sentUs) / 1_000)
      return awaited + 1 === events
    })
    await Promise.all(Array.from({ length: pollers }, (_, poller) => clients.poll(poller)))
    const { p50, p95, p99, max } = spreadOf(latenciesMs)
    return { p50Ms: p50, p95Ms: p95, p99Ms: p99, maxMs: max, requests: clients.requests }
  },
} satisfies PollingProgram)
