import type { Core, StreamLike } from '../core.ts'
import { inspectStream, type StreamReport } from '../inspect/inspect.ts'
import { assertName } from '../stream/keys.ts'
import { createStream, type CreateReport } from './create.ts'
import { deleteStream, type DeleteReport } from './delete.ts'
import {
  type CallOptions,
  checkPauseOptions,
  checkResumeOptions,
  type DeleteOptions,
  type PauseOptions,
  type ReplayOptions,
  type ResetOptions,
  resolveDeleteOptions,
  resolveReplayOptions,
  resolveResetOptions,
  resolveTrimOptions,
  type ResumeOptions,
  type TrimOptions,
} from './options.ts'
import { writePause } from './pause-script.ts'
import { EVERYBODY, parsePauses, PAUSED_FIELD, type StreamPause } from './pauses.ts'
import { replayRange, type ReplayReport } from './replay.ts'
import { resetReader, type ResetReport } from './reset.ts'
import { trimStream, type TrimReport } from './trim.ts'

/** What somebody who looks after an event stream does with it, from any process. */
export class StreamAdmin {
  /** The name of the event stream. */
  readonly stream: string
  readonly #core: Core
  readonly #definition: StreamLike

  /** Use {@link Millrace.admin}. @internal */
  constructor(core: Core, stream: StreamLike) {
    this.stream = stream.name
    this.#core = core
    this.#definition = stream
  }

  /**
   * Creates the stream, empty, where it does not exist. Nobody has to: the first publish or consumer does.
   * @throws MillraceError `STREAM_MISMATCH`, `KEY_TYPE`
   */
  create(options: CallOptions = {}): Promise<CreateReport> {
    return createStream(this.#core, this.#definition, options.signal)
  }

  /** The truth about the stream and everyone who reads it, like `millrace.inspect`. */
  inspect(options: CallOptions = {}): Promise<StreamReport> {
    return inspectStream(this.#core, this.#definition, options.signal)
  }

  /**
   * Holds all consumers and members of the stream, or those of one name, wherever they are: from their next
   * beat on, half a lease at most, they start no handler. Those that run go on, and leases stay. It
   * lasts until it is taken back, also for those who start later. Answers all pauses of the stream.
   */
  pause(options: PauseOptions): Promise<readonly StreamPause[]> {
    checkPauseOptions(options)
    const { name = EVERYBODY, reason, by = this.#core.options.clientName, signal } = options
    return this.#write({ name, paused: true, by, reason }, signal)
  }

  /** Takes a pause back. Answers the pauses that are left. */
  resume(options: ResumeOptions = {}): Promise<readonly StreamPause[]> {
    checkResumeOptions(options)
    const { name = EVERYBODY, signal } = options
    return this.#write({ name, paused: false, by: '', reason: '' }, signal)
  }

  /** All pauses of the stream: of whom, since when, by whom and why. */
  async pauses({ signal }: CallOptions = {}): Promise<readonly StreamPause[]> {
    const keys = this.#core.keysOf(this.#definition)
    const text = await this.#core.connections.call(
      'data',
      keys.tag,
      (session) => session.client.call('hget', keys.meta, PAUSED_FIELD),
      { signal },
    )
    return typeof text === 'string' ? parsePauses(text) : []
  }

  /**
   * Removes events from the old end, whatever retention says. What somebody had not processed is counted for
   * him, and he is told of the gap.
   */
  trim(options: TrimOptions): Promise<TrimReport> {
    return trimStream(this.#core, this.#definition, resolveTrimOptions(options))
  }

  /**
   * Moves a consumer or consumer group to another position. Where somebody seems to be at work under the
   * name, it takes one lease to see whether that one is alive.
   * @throws MillraceError `NAME_IN_USE` when it is; `STATE_INVALID` when there is no such name, or events
   * are pending and nothing was said about them
   */
  reset(name: string, options: ResetOptions): Promise<ResetReport> {
    assertName('The name of a consumer or consumer group', name)
    return resetReader(this.#core, this.#definition, name, resolveResetOptions(options))
  }

  /**
   * Gives a range of events once more to one consumer or consumer group, and to nobody else, whether or not it
   * is at work. They come like redriven dead letters: beside the others, with `context.redriven`.
   * @throws MillraceError `STATE_INVALID` when there is no such name
   */
  replay(name: string, options: ReplayOptions): Promise<ReplayReport> {
    assertName('The name of a consumer or consumer group', name)
    return replayRange(this.#core, this.#definition, name, resolveReplayOptions(options))
  }

  /**
   * Deletes the stream with positions, dead letters and everything else. Producers are not looked for: one
   * that publishes later creates the stream anew.
   * @throws MillraceError `NAME_IN_USE` when a consumer or member is at work
   */
  delete(options: DeleteOptions = {}): Promise<DeleteReport> {
    return deleteStream(this.#core, this.#definition, resolveDeleteOptions(options))
  }

  #write(
    request: Parameters<typeof writePause>[2],
    signal: AbortSignal | undefined,
  ): Promise<readonly StreamPause[]> {
    const keys = this.#core.keysOf(this.#definition)
    return this.#core.connections.call(
      'data',
      keys.tag,
      (session) => writePause(session, keys, request),
      { signal },
    )
  }
}
