import { setTimeout as delay } from 'node:timers/promises'
import { connect, type Millrace } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { nowUs } from '../load/timed-event.ts'
import { isPoison, type JoinTask, type MemberProgram } from '../poison/program.ts'
import { timedStream } from './timed.ts'

// One member of a ConsumerGroup; every handler waits a little, as if for a database.
const HANDLER_MS = 2
/** Attempts and waits are as by default, but for a time limit that poison reaches within the run. */
const HANDLER_TIMEOUT_MS = 1_000
const LOOK_AGAIN_MS = 20

const stream = timedStream()
const latenciesMs: number[] = []
const sequences: number[] = []
const redrivenSequences: number[] = []
let millrace: Millrace
let group: string
let isMended = false

serve({
  async join({ place, poison, warmUp, group: name }: JoinTask) {
    group = name
    millrace = await connect(place.url, { prefix: place.prefix })
    const member = millrace.consumerGroup(stream, {
      name,
      concurrency: 8,
      handlerTimeoutMs: HANDLER_TIMEOUT_MS,
      backoff: { firstMs: 50, greatestMs: 400 },
    })
    member.start(async ({ data: { sequence, sentUs } }, { attempt, redriven, signal }) => {
      const isHarmless = !isPoison(sequence, warmUp)
      if (isHarmless && sequence >= warmUp && attempt === 1)
        latenciesMs.push((nowUs() - sentUs) / 1_000)
      if (!isHarmless && !isMended && poison !== 'none') {
        if (poison === 'throws') throw new Error('poison')
        await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('poison'))
          })
        })
      }
      await delay(HANDLER_MS)
      sequences.push(sequence)
      if (redriven) redrivenSequences.push(sequence)
    })
    await member.ready
  },

  async gaveUp(letters: number) {
    const dead = millrace.deadLetters(stream, group)
    while ((await dead.count()) < letters || (await pending()) > 0) await delay(LOOK_AGAIN_MS)
    const attempts: number[] = []
    for await (const letter of dead.list()) attempts.push(letter.attempts)
    return attempts
  },

  async mend() {
    isMended = true
    await Promise.resolve()
  },

  async redrive() {
    const { redriven } = await millrace.deadLetters(stream, group).redrive()
    while ((await pending()) > 0 || (await waitingAgain()) > 0) await delay(LOOK_AGAIN_MS)
    return { redriven }
  },

  async handled() {
    return await Promise.resolve({ latenciesMs, sequences, redriven: redrivenSequences })
  },
} satisfies MemberProgram)

async function pending(): Promise<number> {
  const { groups } = await millrace.inspect(stream)
  const found = groups.find(({ name }) => name === group)
  return found === undefined ? 1 : found.pending + found.lag.events
}

async function waitingAgain(): Promise<number> {
  const { groups } = await millrace.inspect(stream)
  return groups.find(({ name }) => name === group)?.redriving ?? 0
}
