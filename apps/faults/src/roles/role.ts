import { flushCompileCache } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, isMillraceError, type Millrace } from '@millrace/runtime'
import {
  journalPath,
  NAME_VARIABLE,
  type Order,
  type Report,
  type SceneSettings,
} from '../cast/messages.ts'
import { type ProcessName, processNames } from '../cast/parts.ts'
import { Journal } from '../proof/journal.ts'
import type { Act } from './act.ts'
import { watchHealth } from './health-watch.ts'
import { Publishing } from './publishing.ts'
import { reading } from './reading.ts'

/** One process of the cast: takes part in one scene after the other, as it is told. */

const CONNECT_AGAIN_MS = 50
const CLOSE_MS = 5_000

const name = ownName()
let ending: (() => Promise<void>) | undefined
let quiet: (() => Promise<Readonly<Record<string, number>>>) | undefined

// One order after the other: a scene may be ended while it is still being begun.
let obeyed: Promise<void> = Promise.resolve()
process.on('message', (message) => {
  const order = message as Order
  obeyed = obeyed.then(() => obey(order))
})
// Without the parent there is nobody to work for.
process.once('disconnect', () => {
  process.exit(1)
})
tell({ is: 'loaded' })
// Usually written at the end of a process, which not every one of these gets to see.
flushCompileCache()

/** Every order is answered, so that the parent need not guess; what went wrong is told before. */
async function obey(order: Order): Promise<void> {
  try {
    tell(await carryOut(order))
  } catch (error) {
    tell({ is: 'failed', message: `could not ${order.is}: ${textOf(error)}` })
    tell(order.is === 'quiet' ? { is: 'quiet', refused: {} } : { is: answers[order.is] })
  }
}

const answers = { begin: 'begun', end: 'ended' } as const

async function carryOut(order: Order): Promise<Report> {
  switch (order.is) {
    case 'begin':
      await begin(order.settings)
      return { is: 'begun' }
    case 'quiet':
      return { is: 'quiet', refused: (await quiet?.()) ?? {} }
    case 'end':
      await ending?.()
      return { is: 'ended' }
    default:
      return order satisfies never
  }
}

async function begin(settings: SceneSettings): Promise<void> {
  const journal = new Journal(journalPath(settings.folder, name))
  const millrace = await connected(settings)
  const props = { name, settings, millrace, journal, tell }
  const act: Act = name === 'producer' ? new Publishing(props) : reading(props)
  act.done.catch((error: unknown) => {
    tell({ is: 'failed', message: `stopped by itself: ${textOf(error)}` })
  })
  const watch = watchHealth(millrace, tell)
  quiet = () => act.quiet()
  ending = async () => {
    ending = undefined
    quiet = undefined
    watch[Symbol.dispose]()
    try {
      await act.close()
      await millrace.close({ deadlineMs: CLOSE_MS })
    } finally {
      journal[Symbol.dispose]()
    }
  }
  await act.ready
}

/** Whoever runs a process starts it again while Redis is away. */
async function connected({ address, prefix, sameHostTakeover }: SceneSettings): Promise<Millrace> {
  for (;;) {
    try {
      return await connect(address, { prefix, sameHostTakeover, clientName: name })
    } catch (error) {
      if (!isMillraceError(error, 'UNAVAILABLE')) throw error
      await delay(CONNECT_AGAIN_MS)
    }
  }
}

function ownName(): ProcessName {
  const given = process.env[NAME_VARIABLE]
  const found = processNames.find((one) => one === given)
  if (found === undefined)
    throw new Error('this program is started by the fault suite, not by hand')
  return found
}

function tell(report: Report): void {
  // A parent that is gone is noticed by the disconnection.
  process.send?.(report, undefined, {}, () => undefined)
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : ''
  const inner = error instanceof AggregateError ? `: ${error.errors.map(textOf).join('; ')}` : ''
  return `${error.message}${cause}${inner}`
}
