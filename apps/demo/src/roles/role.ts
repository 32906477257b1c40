import { flushCompileCache } from 'node:module'
import { connect, type ConsumerHandler, type Event, type Millrace } from '@millrace/runtime'
import { nowMs } from '../clock.ts'
import { stampOf } from '../flights/flight-updates.ts'
import {
  type Order,
  type Report,
  type RoleSettings,
  SETTINGS_VARIABLE,
  type Usage,
} from '../processes/messages.ts'
import { Journal } from '../proof/journal.ts'

/** What a role works with. */
export interface Stage {
  readonly settings: RoleSettings
  readonly millrace: Millrace
  readonly journal: Journal
  readonly tell: (report: Report) => void
  /** Counts a request to the old API. */
  readonly countRequest: () => void
  /** Makes a handler that does the work and then writes into the journal that it is done. */
  readonly journaled: <Data>(work: (event: Event<Data>) => void) => ConsumerHandler<Data>
}

/** What a role has set going; consumers and members of groups are such things. */
export interface Act {
  readonly ready: Promise<void>
  /** Resolves when it is over; rejects when it cannot go on. */
  readonly done: Promise<void>
  close(): Promise<unknown>
  /** Begins to publish what it writes, where it writes anything. */
  publish?(): void
  /** Makes no more of whatever it makes, where it makes anything. */
  stop?(): void
  /** What it is about just now, in words for the screen. */
  status(): string
}

const STATUS_EVERY_MS = 250

/** The frame of each process: connects, plays the role until the parent asks it to drain, and ends. */
export async function play(role: (stage: Stage) => Act | Promise<Act>): Promise<void> {
  const asked = Promise.withResolvers<void>()
  const published = Promise.withResolvers<void>()
  const stopped = Promise.withResolvers<void>()
  process.on('message', (message) => {
    const order = message as Order
    switch (order.is) {
      case 'drain':
        asked.resolve()
        return
      case 'publish':
        published.resolve()
        return
      case 'stop':
        stopped.resolve()
        return
      case 'report-usage':
        tell({ is: 'usage', usage: usage() })
        return
      default:
        order satisfies never
    }
  })
  // Without the parent there is nobody to work for.
  process.once('disconnect', orphaned)
  try {
    await perform(role, readSettings(), {
      drain: asked.promise,
      publish: published.promise,
      stop: stopped.promise,
    })
  } catch (error) {
    tell({
      is: 'failed',
      message: `failed: ${error instanceof Error ? error.message : String(error)}`,
    })
    process.exitCode = 1
  }
  process.off('disconnect', orphaned)
  process.disconnect()
}

async function perform(
  role: (stage: Stage) => Act | Promise<Act>,
  settings: RoleSettings,
  orders: Readonly<Record<'drain' | 'publish' | 'stop', Promise<void>>>,
): Promise<void> {
  const { prefix, name: clientName } = settings
  using journal = new Journal(settings.journalPath)
  await using millrace = await connect(settings.redisUrl, { prefix, clientName })
  const act = await role({
    settings,
    millrace,
    journal,
    tell,
    countRequest,
    journaled: journaledIn(journal),
  })
  void orders.publish.then(() => act.publish?.())
  void orders.stop.then(() => act.stop?.())
  await act.ready
  tell({ is: 'ready' })
  // Usually written at the end of a process, which not every one of these gets to see.
  flushCompileCache()
  const timer = setInterval(() => {
    // Whoever cannot read says so instead of what it did last.
    const { ready, problems } = millrace.health()
    tell({ is: 'status', text: ready ? act.status() : problems.join('; ') })
  }, STATUS_EVERY_MS)
  try {
    await Promise.race([act.done, orders.drain])
    await act.close()
  } finally {
    clearInterval(timer)
  }
  tell({ is: 'status', text: act.status() })
}

function journaledIn(journal: Journal): Stage['journaled'] {
  return (work) => (event, context) => {
    const atMs = nowMs()
    work(event)
    const { redelivered } = context
    journal.append({ ...stampOf(event), id: event.id, atMs, redelivered })
  }
}

let requests = 0

function countRequest(): void {
  requests += 1
}

function usage(): Usage {
  const { user, system } = process.cpuUsage()
  const memoryBytes = process.memoryUsage.rss()
  return { cpuMs: (user + system) / 1_000, memoryBytes, requests }
}

function readSettings(): RoleSettings {
  const text = process.env[SETTINGS_VARIABLE]
  if (text === undefined) throw new Error('this program is started by the demo, not by hand')
  return JSON.parse(text) as RoleSettings
}

function tell(report: Report): void {
  // A parent that is gone is noticed by the disconnection.
  process.send?.(report, undefined, {}, () => undefined)
}

function orphaned(): void {
  process.exit(1)
}
