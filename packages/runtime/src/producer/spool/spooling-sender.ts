import type { Core } from '../../core.ts'
import { channels } from '../../diagnostics.ts'
import { isMillraceError, MillraceError } from '../../errors.ts'
import { pause } from '../../lifecycle/signals.ts'
import type { PressureWatch } from '../../pressure/watch.ts'
import type { StreamKeys } from '../../stream/keys.ts'
import type { OutgoingEvent } from '../encode.ts'
import type { ResolvedProducerOptions } from '../options.ts'
import { SendLoop } from '../send.ts'
import {
  type GiveUpAll,
  isEnd,
  type PublishableStream,
  randomName,
  type Sender,
} from '../sender.ts'
import { openWindow } from '../window.ts'
import { ageMs, assertFresh } from './age.ts'
import { Lane, type LaneSettings } from './lane.ts'
import type { ResolvedSpoolOptions } from './options.ts'
import { SpoolThread } from './spool-thread.ts'
import type { FileFacts } from './verify.ts'

/** While other processes of the producer are at work: how often to look whether they have ended. */
const LOOK_AGAIN_MS = 2_000

export interface SpoolingSettings {
  readonly core: Core
  readonly keys: StreamKeys
  readonly stream: PublishableStream
  readonly options: ResolvedProducerOptions
  readonly spool: ResolvedSpoolOptions
  readonly producerId: string
  readonly watch: PressureWatch
  readonly giveUpAll: GiveUpAll
  /** The producer cannot go on. */
  readonly fail: (error: MillraceError) => void
}

/**
 * Sends like everybody, but over the disk while Redis confirms nothing. First of all it sends what
 * earlier processes of the producer have left, each file by itself and under its own epoch.
 */
export class SpoolingSender implements Sender {
  readonly #settings: SpoolingSettings
  readonly #own: SendLoop
  #lane: Lane | undefined
  #thread: SpoolThread | undefined
  #started: Promise<void> | undefined
  #adopted: { readonly loop: SendLoop; readonly lane: Lane } | undefined
  readonly #stopped = new AbortController()
  #stopping: Promise<void> | undefined
  #isStopping = false
  #isPressed = false
  /** Whether what earlier processes have left was looked at: nothing is spooled on top of damage. */
  #isChecked = false
  /** Resolves when nothing is left in the spool, or Redis gives no answer. */
  readonly #quiet = Promise.withResolvers<void>()
  #cancelWatch: (() => void) | undefined

  constructor(settings: SpoolingSettings) {
    this.#settings = settings
    const window = openWindow<OutgoingEvent>(randomName())
    this.#own = this.#loop(window)
    this.#own.hold('adoption')
  }

  start(): void {
    this.#started ??= this.#start()
    if (this.#cancelWatch === undefined) this.#watchIn(this.#settings.spool.afterMs)
  }

  offer(event: OutgoingEvent): void {
    this.start()
    this.#own.offer(event)
  }

  get unsent(): number {
    return this.#own.unsent
  }

  prune(): void {
    this.#own.prune()
  }

  press(isPressed: boolean): void {
    if (isPressed === this.#isPressed) return
    this.#isPressed = isPressed
    this.#lane?.press(isPressed)
    for (const loop of [this.#own, this.#adopted?.loop]) {
      if (isPressed) loop?.hold('pressure')
      else loop?.release('pressure')
    }
    // What earlier processes have left is looked at before anything is put on top of it.
    if (isPressed && this.#isChecked) this.#own.spool()
    this.start()
  }

  stop(deadlineMs: number): Promise<void> {
    this.#stopping ??= this.#stop(deadlineMs)
    return this.#stopping
  }

  async #stop(deadlineMs: number): Promise<void> {
    const { clock } = this.#settings.core
    this.#isStopping = true
    if (this.#started !== undefined && !this.#stopped.signal.aborted) {
      this.#settleQuiet()
      await Promise.race([this.#quiet.promise, pause(clock, deadlineMs, this.#stopped.signal)])
    }
    this.#halt()
    await this.#started
    try {
      await this.#lane?.close()
    } finally {
      await this.#thread?.end()
    }
  }

  #halt(): void {
    this.#stopped.abort()
    this.#cancelWatch?.()
    this.#cancelWatch = undefined
    this.#own.stop()
    this.#adopted?.loop.stop()
  }

  /** Never rejects. */
  async #start(): Promise<void> {
    const { core } = this.#settings
    const thread = new SpoolThread()
    this.#thread = thread
    const owner = this.#ownerOf(this.#own)
    this.#lane = new Lane(this.#laneSettings(thread), owner, this.#own.epoch)
    this.#own.useSpool(this.#lane)
    try {
      let others = await this.#adoptAll(thread)
      this.#own.release('adoption')
      // This process has begun, so what others leave from now on has no order with its events.
      while (others > 0 && !this.#stopped.signal.aborted) {
        await pause(core.clock, LOOK_AGAIN_MS, this.#stopped.signal)
        if (!this.#stopped.signal.aborted) others = await this.#adoptAll(thread)
      }
    } catch (error) {
      this.#fail(asSpoolError(error))
    }
  }

  /** Takes over what ended processes have left, and sends it; answers how many are still at work. */
  async #adoptAll(thread: SpoolThread): Promise<number> {
    const { spool } = this.#settings
    const { identity } = this.#laneSettings(thread)
    const { orphans, inUse } = await thread.call('adopt', spool.directory, identity)
    for (const facts of orphans) assertFresh(facts, spool.maxAgeMs)
    this.#isChecked = true
    for (const facts of orphans) await this.#adopt(thread, facts)
    return inUse
  }

  async #adopt(thread: SpoolThread, facts: FileFacts): Promise<void> {
    this.#reportAdoption(facts)
    const done = Promise.withResolvers<void>()
    if (facts.batches > 0 && !this.#stopped.signal.aborted) {
      const loop = this.#loop(openWindow(facts.epoch, facts.first))
      const owner = this.#ownerOf(loop, () => {
        if (lane.isEmpty) done.resolve()
      })
      const lane = new Lane(this.#laneSettings(thread), owner, facts.epoch, facts)
      loop.useSpool(lane)
      if (this.#isPressed) loop.hold('pressure')
      this.#adopted = { loop, lane }
      const stop = (): void => {
        done.resolve()
      }
      this.#stopped.signal.addEventListener('abort', stop, { once: true })
      loop.wake()
      await done.promise
      this.#stopped.signal.removeEventListener('abort', stop)
      loop.stop()
      this.#adopted = undefined
      await lane.close()
    } else await thread.call('close', facts.path)
    this.#settleQuiet()
  }

  #loop(window: ReturnType<typeof openWindow<OutgoingEvent>>): SendLoop {
    const { core, keys, stream, options, watch, giveUpAll } = this.#settings
    const giveUp = (error: MillraceError): void => {
      if (isEnd(error)) this.#fail(error)
      else giveUpAll(error)
    }
    return new SendLoop(core, keys, stream, options, giveUp, watch, window)
  }

  #ownerOf(
    loop: SendLoop,
    onWake: () => void = () => undefined,
  ): ConstructorParameters<typeof Lane>[1] {
    return {
      wake: () => {
        loop.wake()
        onWake()
        this.#settleQuiet()
      },
      fail: (error) => {
        this.#fail(error)
      },
    }
  }

  #laneSettings(thread: SpoolThread): LaneSettings {
    const { core, keys, stream, spool, producerId } = this.#settings
    return {
      thread,
      identity: { producerId, stream: keys.stream },
      streamName: stream.name,
      options: spool,
      clock: core.clock,
    }
  }

  #fail(error: MillraceError): void {
    if (this.#stopped.signal.aborted) return
    this.#halt()
    this.#settings.fail(error)
  }

  #watchIn(ms: number): void {
    this.#cancelWatch = this.#settings.core.clock.after(Math.max(ms, 1), this.#watch)
  }

  /** Looks whether anything was confirmed lately. */
  readonly #watch = (): void => {
    this.#cancelWatch = undefined
    const { core, spool } = this.#settings
    const nowMs = core.clock.monotonicMs()
    const flowedAtMs = this.#lane?.flowedAtMs ?? 0
    const waitingSinceMs = this.#own.waitingSinceMs()
    const quietForMs = nowMs - Math.max(flowedAtMs, waitingSinceMs ?? 0)
    let nextMs = spool.afterMs
    if (quietForMs < spool.afterMs) nextMs = spool.afterMs - quietForMs
    else if (waitingSinceMs !== undefined && this.#isChecked) this.#own.spool()
    else this.#lane?.ebbs()
    const anyFlowAtMs = Math.max(flowedAtMs, this.#adopted?.lane.flowedAtMs ?? 0)
    if (nowMs - anyFlowAtMs >= spool.afterMs && this.#isStopping) this.#quiet.resolve()
    if (this.#own.isBusy || this.#adopted !== undefined) this.#watchIn(nextMs)
  }

  #settleQuiet(): void {
    if (!this.#isStopping) return
    if (!this.#own.isBusy && this.#adopted === undefined && (this.#lane?.isEmpty ?? true))
      this.#quiet.resolve()
  }

  #reportAdoption({ path, events, bytes, oldestAtMs }: FileFacts): void {
    channels.spoolAdopted.publish({
      stream: this.#settings.stream.name,
      producerId: this.#settings.producerId,
      file: path,
      events,
      bytes,
      oldestAgeMs: ageMs(oldestAtMs),
    })
  }
}

function asSpoolError(error: unknown): MillraceError {
  if (isMillraceError(error)) return error
  return new MillraceError('SPOOL_FAILED', 'The spool could not be opened', { cause: error })
}
