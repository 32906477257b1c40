import { Agent, get } from 'node:http'
import { spreadOf } from '../harness/statistics.ts'
import { serve } from '../harness/program.ts'
import { nowUs, type TimedEvent } from '../load/timed-event.ts'
import type { PollingProgram, PollTask } from './program.ts'

// Old clients: each asks again with the cursor that it was given, on a connection that stays open.
const WAIT_S = 30

interface Answer {
  readonly items: readonly TimedEvent[]
  readonly cursor: string | null
}

serve({
  async poll(task) {
    const agent = new Agent({ keepAlive: true, maxSockets: task.pollers })
    const latenciesMs: number[] = []
    const requests = await Promise.all(
      Array.from({ length: task.pollers }, () => pollUntilEnd(task, agent, latenciesMs)),
    )
    agent.destroy()
    const { p50, p95, p99, max } = spreadOf(latenciesMs)
    const sum = requests.reduce((all, one) => all + one, 0)
    return { p50Ms: p50, p95Ms: p95, p99Ms: p99, maxMs: max, requests: sum }
  },
} satisfies PollingProgram)

/** Answers with how many requests it took. */
async function pollUntilEnd(
  { url, events, warmUp }: PollTask,
  agent: Agent,
  latenciesMs: number[],
): Promise<number> {
  let cursor: string | null = null
  let requests = 0
  for (let due = 0; due < events; ) {
    const since: string = cursor === null ? '' : `&since=${encodeURIComponent(cursor)}`
    const { body, arrivedUs } = await fetchText(`${url}?wait=${WAIT_S}${since}`, agent)
    requests += 1
    const answer = JSON.parse(body) as Answer
    for (const { sequence, sentUs } of answer.items) {
      if (sequence !== due) throw new Error(`event ${sequence} came where ${due} was due`)
      due += 1
      if (sequence >= warmUp) latenciesMs.push((arrivedUs - sentUs) / 1_000)
    }
    cursor = answer.cursor
  }
  return requests
}

function fetchText(
  url: string,
  agent: Agent,
): Promise<{ readonly body: string; readonly arrivedUs: number }> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (body += chunk))
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve({ body, arrivedUs: nowUs() })
        else reject(new Error(`${response.statusCode}: ${body}`))
      })
    }).on('error', reject)
  })
}
