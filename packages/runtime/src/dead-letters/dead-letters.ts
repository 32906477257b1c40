import { evaluate, type Script } from '../connection/script.ts'
import type { Core } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { MillraceError } from '../errors.ts'
import { pause, throwIfAborted } from '../lifecycle/signals.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { assertName, type StreamKeys } from '../stream/keys.ts'
import { isStreamId } from '../stream/stream-id.ts'
import type { DeadLetter } from './dead-letter.ts'
import { LetterBox, type Listed } from './letter-box.ts'
import { discardScript, redriveScript } from './move-scripts.ts'
import {
  type DiscardOptions,
  type DiscardReport,
  type ListOptions,
  type RedriveOptions,
  type RedriveReport,
  type ResolvedChoice,
  resolveDiscardOptions,
  resolveListOptions,
  resolveRedriveOptions,
} from './options.ts'
import { MOST_BYTES_IN_ONE_STEP, MOST_IN_ONE_STEP, pauseMs, stepSize } from './pace.ts'

/**
 * The dead letters of one consumer or consumer group: events that it has given up. They can be looked
 * at, redriven to the same consumer or group and no other, or discarded, from any process and whether
 * or not the consumer or group is running.
 */
export class DeadLetters<Data> {
  /** The name of the event stream. */
  readonly stream: string
  /** The name of the consumer or consumer group. */
  readonly name: string
  readonly #core: Core
  readonly #keys: StreamKeys
  readonly #box: LetterBox<Data>

  /** Use {@link Millrace.deadLetters}. @internal */
  constructor(core: Core, stream: EventStream<never, Data>, name: string) {
    assertName('The name of a consumer or consumer group', name)
    this.stream = stream.name
    this.name = name
    this.#core = core
    this.#keys = core.keysOf(stream)
    this.#box = new LetterBox(core, stream, name)
  }

  /** How many there are. */
  async count(options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    const reply = await this.#core.connections.call(
      'data',
      this.#keys.tag,
      (session) => session.client.call('xlen', this.#keys.dead(this.name)),
      options,
    )
    return Number(reply)
  }

  /**
   * The letters, oldest first; they are fetched page by page while you iterate.
   * @throws MillraceError `OPTIONS_INVALID`, `ABORTED`, `UNAVAILABLE`
   */
  list(options: ListOptions = {}): AsyncIterable<DeadLetter<Data>> {
    const { after, limit, signal } = resolveListOptions(options)
    const box = this.#box
    return {
      async *[Symbol.asyncIterator](): AsyncGenerator<DeadLetter<Data>, void, undefined> {
        let count = 0
        for await (const { letter } of box.from(after, '+', signal)) {
          yield letter
          if (++count >= limit) return
        }
      },
    }
  }

  /** One letter by its own id; undefined when it is not there. */
  async peek(
    id: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<DeadLetter<Data> | undefined> {
    if (!isStreamId(id)) {
      throw new MillraceError(
        'OPTIONS_INVALID',
        `${JSON.stringify(id)} is not the id of a dead letter`,
      )
    }
    for await (const { letter } of this.#box.named([id], options.signal)) return letter
    return undefined
  }

  /**
   * Gives letters back to the consumer or group that they came from, and to no other. They are handled
   * outside of the stream's order, with their original event ids and `context.redriven`, and their
   * attempts begin anew; one that fails for good again comes back to the dead letters. Each letter is
   * moved in one step, so that a crash of this process neither loses nor doubles one.
   * @throws MillraceError `OPTIONS_INVALID`, `ABORTED`, `UNAVAILABLE`
   */
  async redrive(options: RedriveOptions<Data> = {}): Promise<RedriveReport> {
    const resolved = resolveRedriveOptions(options)
    const { ratePerSecond, onProgress } = resolved
    const { clock } = this.#core
    const startedMs = clock.monotonicMs()
    const keys = [this.#keys.dead(this.name), this.#keys.redrive(this.name)]
    const tally = await this.#work(
      resolved,
      stepSize(ratePerSecond),
      async (ids, before) => {
        await pause(
          clock,
          pauseMs(before.done, clock.monotonicMs() - startedMs, ratePerSecond),
          resolved.signal,
        )
        const moved = await this.#apply(redriveScript, keys, ids, resolved.signal)
        if (moved > 0)
          channels.redriven.publish({ stream: this.stream, name: this.name, events: moved })
        return moved
      },
      ({ examined, matched, done, gone }) =>
        onProgress?.({ examined, matched, redriven: done, gone }),
    )
    const { examined, matched, done, gone } = tally
    return { examined, matched, redriven: done, gone, dryRun: resolved.dryRun }
  }

  /**
   * Removes letters for good.
   * @throws MillraceError `OPTIONS_INVALID`, `ABORTED`, `UNAVAILABLE`
   */
  async discard(options: DiscardOptions<Data>): Promise<DiscardReport> {
    const resolved = resolveDiscardOptions(options)
    const { onProgress, signal } = resolved
    const tally = await this.#work(
      resolved,
      MOST_IN_ONE_STEP,
      (ids) => this.#apply(discardScript, [this.#keys.dead(this.name)], ids, signal),
      ({ examined, matched, done, gone }) =>
        onProgress?.({ examined, matched, discarded: done, gone }),
    )
    const { examined, matched, done, gone } = tally
    return { examined, matched, discarded: done, gone, dryRun: resolved.dryRun }
  }

  /** Chooses letters and hands them on in steps that Redis does not notice. */
  async #work(
    choice: ResolvedChoice<Data>,
    mostInStep: number,
    apply: (ids: readonly string[], before: Tally) => Promise<number>,
    report: (tally: Tally) => void,
  ): Promise<Tally> {
    const tally: Tally = { examined: 0, matched: 0, done: 0, gone: 0 }
    let step: Listed<Data>[] = []
    let stepBytes = 0
    const flush = async (): Promise<void> => {
      if (step.length === 0) return
      const ids = step.map(({ letter }) => letter.id)
      step = []
      stepBytes = 0
      if (!choice.dryRun) {
        throwIfAborted(choice.signal, 'The work on dead letters')
        const done = await apply(ids, tally)
        tally.done += done
        tally.gone += ids.length - done
      }
      report(tally)
    }
    const onLook = (): void => {
      tally.examined++
    }
    for await (const listed of this.#box.chosen(choice, onLook)) {
      if (step.length >= mostInStep || stepBytes + listed.bytes > MOST_BYTES_IN_ONE_STEP)
        await flush()
      tally.matched++
      step.push(listed)
      stepBytes += listed.bytes
    }
    await flush()
    return tally
  }

  /** Answers how many letters the script has touched. */
  async #apply(
    script: Script,
    keys: readonly string[],
    ids: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<number> {
    let sent = 0
    const touched = (await this.#core.connections.call(
      'data',
      this.#keys.tag,
      (session) => {
        sent++
        return evaluate(session, script, keys, ids)
      },
      { signal },
    )) as readonly unknown[]
    // After a lost answer nobody can tell what the first sending did; what is no longer there is ours.
    return sent > 1 ? ids.length : touched.length
  }
}

interface Tally {
  examined: number
  matched: number
  done: number
  gone: number
}
