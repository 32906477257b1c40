import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type RedisServer, waitFor } from '@millrace/testkit'
import { payloadsOf } from '../rig.ts'
import type { SpoolingPublisherPlan } from './spooling-publisher.ts'

/** What came of a run: everything but the first figures must be 0. */
export interface KillsReport {
  readonly kills: number
  readonly outages: number
  readonly answered: number
  readonly answeredFromSpool: number
  readonly stored: number
  readonly lost: number
  readonly duplicates: number
  readonly outOfOrder: number
}

/**
 * Kills one publisher after the other with -9 while Redis goes up and down, lets the last one end, and
 * compares what was answered with what is in the stream.
 */
export async function killPublishers(
  redis: RedisServer,
  directory: string,
  kills: number,
  random: () => number,
  onKill: (kill: number) => void = () => undefined,
): Promise<KillsReport> {
  const answers = join(directory, 'answers')
  writeFileSync(answers, '')
  const over = new AbortController()
  const outages = upAndDown(redis, over.signal, random)
  for (let turn = 0; turn < kills; turn++) {
    const before = statSync(answers).size
    const child = publisher({
      url: redis.url,
      directory,
      answers,
      turn,
      events: undefined,
      afterMs: 40,
    })
    const exited = once(child, 'exit')
    await waitFor(() => statSync(answers).size > before || child.exitCode !== null, {
      describe: 'the first answer',
      timeoutMs: 30_000,
    })
    await sleep(random() * 300)
    child.kill('SIGKILL')
    await exited
    onKill(turn + 1)
  }
  over.abort()
  const outagesHad = await outages
  // It must not end before it has sent what the others left, however slow the machine is.
  const last = publisher({
    url: redis.url,
    directory,
    answers,
    turn: kills,
    events: 100,
    afterMs: 20_000,
  })
  const [code] = (await once(last, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`the last publisher ended with ${code}`)
  return { kills, outages: outagesHad, ...(await compare(redis, answers)) }
}

/** A publishing process. */
export function publisher(plan: SpoolingPublisherPlan): ChildProcess {
  const program = fileURLToPath(new URL('spooling-publisher.ts', import.meta.url))
  return spawn(process.execPath, ['--conditions=millrace-source', program, JSON.stringify(plan)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** Redis is killed and started again until it is over; it is up in the end. */
async function upAndDown(
  redis: RedisServer,
  over: AbortSignal,
  random: () => number,
): Promise<number> {
  let outages = 0
  while (!over.aborted) {
    await sleep(200 + random() * 800)
    await redis.kill('SIGKILL')
    await sleep(100 + random() * 600)
    await redis.restart()
    outages++
  }
  return outages
}

async function compare(
  redis: RedisServer,
  answers: string,
): Promise<Omit<KillsReport, 'kills' | 'outages'>> {
  const payloads = (await payloadsOf(redis.client(), 'mr:{flights}flights')) as {
    turn: number
    n: number
  }[]
  const inStream = new Set<string>()
  let duplicates = 0
  let outOfOrder = 0
  let previous = { turn: -1, n: -1 }
  for (const { turn, n } of payloads) {
    if (inStream.has(`${turn} ${n}`)) duplicates++
    inStream.add(`${turn} ${n}`)
    // Of each process the beginning of what it published, and one process after the other.
    const follows = turn === previous.turn ? n === previous.n + 1 : turn > previous.turn && n === 0
    if (!follows) outOfOrder++
    previous = { turn, n }
  }
  const lines = readFileSync(answers, 'utf8').trimEnd().split('\n')
  const answered = lines.map((line) => line.split(' '))
  return {
    answered: answered.length,
    answeredFromSpool: answered.filter(([, , stored]) => stored === 'spool').length,
    stored: payloads.length,
    lost: answered.filter(([turn, n]) => !inStream.has(`${turn} ${n}`)).length,
    duplicates,
    outOfOrder,
  }
}
