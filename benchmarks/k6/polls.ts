// @boundaries-ignore k6 itself brings this module; npm has its types
import { check, sleep } from 'k6'
// @boundaries-ignore k6 itself brings this module; npm has its types
import exec from 'k6/execution'
// @boundaries-ignore k6 itself brings this module; npm has its types
import http from 'k6/http'
// @boundaries-ignore k6 itself brings this module; npm has its types
import { Counter, Rate, Trend } from 'k6/metrics'
import type { Options } from 'k6/options'
import { settings } from './settings.ts'
import { reportOf, type SummaryData } from './summary.ts'

// Claim: the feed that stands in for a poll API brings an event to 120 clients that wait with
// long polls within half a second of the call that published it (SC-001), whoever listens does not slow
// publishing down (SC-002), and clients have handled it within 100 ms of receiving it (SC-006).
//
// How it is measured: publishers call at a constant arrival rate, whether or not earlier calls were
// answered. Each of 120 long-pollers takes every event; so does each of 120 clients of the old API,
// which asks every second with jitter. Times are by k6's own clock, to the millisecond. A threshold
// passes when there are no samples, so each has a count beside it that is only reached when all arrived.

const { url, perSecond, seconds, consumers, waitS, oldEveryS } = settings
const events = perSecond * seconds
const deliveries = events * consumers
/** Consumers are there before the first event, and stay for the last one. */
const AHEAD_S = 3
const LAST_S = 5

const publishDuration = new Trend('publish_duration', true)
const published = new Counter('published')
const eventLatency = new Trend('event_latency', true)
const delivered = new Counter('delivered')
const handledInTime = new Rate('handled_within_100_ms')
const complete = new Counter('complete_consumers')
const again = new Counter('delivered_again')
const oldLatency = new Trend('old_event_latency', true)
const oldDelivered = new Counter('old_delivered')
const oldRequests = new Counter('old_requests')
const longPollRequests = new Counter('long_poll_requests')

export const options: Options = {
  scenarios: {
    publish: {
      executor: 'constant-arrival-rate',
      exec: 'publish',
      startTime: `${AHEAD_S}s`,
      rate: perSecond,
      timeUnit: '1s',
      duration: `${seconds}s`,
      preAllocatedVUs: 10,
      maxVUs: 50,
    },
    long_polls: {
      executor: 'constant-vus',
      exec: 'longPoll',
      vus: consumers,
      duration: `${AHEAD_S + seconds + LAST_S}s`,
      gracefulStop: `${waitS + 5}s`,
    },
    old_polls: {
      executor: 'constant-vus',
      exec: 'oldPoll',
      vus: consumers,
      duration: `${AHEAD_S + seconds + LAST_S}s`,
      gracefulStop: '5s',
    },
  },
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max', 'count'],
  thresholds: {
    event_latency: [`p(99)<=${settings.latencyP99Ms}`],
    delivered: [`count>=${deliveries}`],
    complete_consumers: [`count>=${consumers}`],
    delivered_again: ['count<1'],
    publish_duration: [`p(99)<=${settings.publishP99Ms}`],
    published: [`count>=${events}`],
    handled_within_100_ms: [`rate>=${settings.handledShare}`],
    dropped_iterations: ['count<1'],
    old_delivered: [`count>=${deliveries}`],
    checks: ['rate==1'],
  },
}

interface Item {
  readonly sequence: number
  readonly sentMs: number
}

interface Page {
  readonly items: readonly Item[]
  readonly cursor: string | null
}

export function publish(): void {
  const sequence = exec.scenario.iterationInTest
  // Two more turns than asked for may fall into the duration.
  if (sequence >= events) return
  const sentMs = Date.now()
  const response = http.post(`${url}/events`, JSON.stringify({ sequence, sentMs }))
  publishDuration.add(Date.now() - sentMs)
  if (check(response, { 'published: 204': ({ status }) => status === 204 })) published.add(1)
}

// One of these for each virtual user, which is one client.
let cursor: string | null = null
const seen = new Set<number>()

export function longPoll(): void {
  const since = cursor === null ? '' : `&since=${encodeURIComponent(cursor)}`
  const response = http.get(`${url}/changes?wait=${waitS}${since}`, { timeout: '60s' })
  const receivedMs = Date.now()
  longPollRequests.add(1)
  if (!check(response, { 'long poll: 200': ({ status }) => status === 200 })) return
  const page = pageOf(response.body)
  cursor = page.cursor
  for (const { sequence, sentMs } of page.items) {
    eventLatency.add(receivedMs - sentMs)
    take(sequence)
    handledInTime.add(Date.now() - receivedMs <= 100)
  }
}

function take(sequence: number): void {
  if (seen.has(sequence)) {
    again.add(1)
    return
  }
  seen.add(sequence)
  delivered.add(1)
  if (seen.size === events) complete.add(1)
}

let after = 0

export function oldPoll(): void {
  const response = http.get(`${url}/old/events?after=${after}`)
  const receivedMs = Date.now()
  oldRequests.add(1)
  if (check(response, { 'old poll: 200': ({ status }) => status === 200 })) {
    const page = pageOf(response.body)
    after = Number(page.cursor)
    for (const { sentMs } of page.items) oldLatency.add(receivedMs - sentMs)
    oldDelivered.add(page.items.length)
  }
  sleep(oldEveryS * (0.9 + Math.random() * 0.2))
}

function pageOf(body: ArrayBuffer | string | null): Page {
  if (typeof body !== 'string') throw new Error('an answer without a body')
  return JSON.parse(body) as Page
}

export function handleSummary(data: SummaryData): Readonly<Record<string, string>> {
  const report = reportOf(data, { events, deliveries })
  return { [settings.reportPath]: `${JSON.stringify(report, null, 2)}\n` }
}
