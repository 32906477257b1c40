import {
  isMillraceError,
  type Millrace,
  type Producer,
  type PublishResult,
} from '@millrace/runtime'
import { nowMs } from '../clock.ts'
import { type Beat, beats } from '../load.ts'
import { type SceneSettings, spoolDirectory, spoolJournalPath } from '../cast/messages.ts'
import { Journal } from '../proof/journal.ts'
import type { Act, Props } from './act.ts'

/** How often the producer looks at the clock; what became due since then is published. */
const TICK_MS = 4
/** After standing still it publishes at most this much at once of what became due meanwhile. */
const MOST_DUE_AT_ONCE = 200

/** How long it may take to send all that is on disk. */
const SPOOL_EMPTY_MS = 25_000

/** Publishes at an even rate and writes down what was accepted: what publish() resolved for. */
export class Publishing implements Act {
  readonly ready: Promise<void> = Promise.resolve()
  readonly done: Promise<void>
  readonly #settings: SceneSettings
  readonly #journal: Journal
  readonly #tell: Props['tell']
  readonly #producer: Producer<Beat, PublishResult>
  /** What the spool answered for, apart. */
  readonly #spooled: Journal | undefined
  readonly #failed = Promise.withResolvers<void>()
  readonly #underWay = new Set<Promise<void>>()
  readonly #refused: Record<string, number> = {}
  readonly #timer: NodeJS.Timeout
  #lookedAtMs: number = nowMs()
  #due = 0
  #number: number

  constructor({ settings, millrace, journal, tell }: Props) {
    this.#tell = tell
    this.#settings = settings
    this.#journal = journal
    this.#producer = producerOf(millrace, settings)
    if (settings.spools) this.#spooled = new Journal(spoolJournalPath(settings.folder))
    this.#number = settings.firstNumber
    this.done = this.#failed.promise
    this.#timer = setInterval(() => {
      this.#publishDue()
    }, TICK_MS)
  }

  async quiet(): Promise<Readonly<Record<string, number>>> {
    clearInterval(this.#timer)
    await Promise.all(this.#underWay)
    // What is on disk only is not in the stream yet.
    if (this.#settings.spools) await this.#producer.close({ deadlineMs: SPOOL_EMPTY_MS })
    return this.#refused
  }

  async close(): Promise<void> {
    await this.quiet()
    await this.#producer.close()
    this.#spooled?.[Symbol.dispose]()
  }

  #publishDue(): void {
    const ms = nowMs()
    this.#due += ((ms - this.#lookedAtMs) * this.#settings.eventsPerSecond) / 1_000
    this.#due = Math.min(this.#due, MOST_DUE_AT_ONCE)
    this.#lookedAtMs = ms
    for (; this.#due >= 1; this.#due -= 1) this.#publish(this.#number++)
  }

  #publish(number: number): void {
    const publishedAtMs = nowMs()
    const settled = this.#producer.publish({ number, publishedAtMs }).then(
      ({ stored }) => {
        const entry = { number, publishedAtMs, atMs: nowMs() }
        this.#journal.append(entry)
        if (stored === 'spool') this.#spooled?.append(entry)
      },
      (error: unknown) => {
        this.#noteRefused(error)
      },
    )
    this.#underWay.add(settled)
    settled.then(
      () => this.#underWay.delete(settled),
      (error: unknown) => {
        this.#failed.reject(error)
      },
    )
  }

  /** A refused event was promised nothing; what it was refused for is told. */
  #noteRefused(error: unknown): void {
    if (!isMillraceError(error)) throw error
    if (error.code === 'INTERNAL' && this.#refused[error.code] === undefined)
      this.#tell({ is: 'failed', message: `met ${error.message}` })
    this.#refused[error.code] = (this.#refused[error.code] ?? 0) + 1
  }
}

function producerOf(
  millrace: Millrace,
  { stream, spools, folder }: SceneSettings,
): Producer<Beat, PublishResult> {
  if (!spools) return millrace.producer<Beat>(beats(stream))
  return millrace.producer<Beat>(beats(stream), {
    producerId: 'beats',
    whenUnavailable: 'spool',
    spool: { directory: spoolDirectory(folder) },
  })
}
