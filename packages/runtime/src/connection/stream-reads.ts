import type { Redis } from 'ioredis'
import { onAbort } from '../lifecycle/signals.ts'
import { troubleOf } from './redis-errors.ts'
import { type StreamReply, StreamReplyDecoder } from './stream-reply.ts'

/** How long the server itself is to wait before a read. */
export interface ReadDelay {
  readonly ms: number
  /** A key in the slot of the streams that nobody ever writes. */
  readonly emptyKey: string
}

/** What is waited for. */
interface Reading {
  /** Of what the server has yet to answer; the last one is that of the read. */
  readonly decoders: StreamReplyDecoder[]
  readonly resolve: (reply: StreamReply | undefined) => void
  readonly reject: (error: Error) => void
}

/**
 * Sends XREAD and XREADGROUP past the client, on its connection, and decodes what comes. Asking and
 * decoding by the client takes more time than everything else that is done with an event, most of all
 * in a process that wakes up for one event at a time. It is for connections with one read at a time and
 * nothing else before it; commands of the client may follow it.
 */
export class StreamReads {
  readonly #client: Redis
  readonly #ended: AbortSignal
  readonly #isTapped: boolean
  readonly #patience: NodeJS.Timeout | undefined
  #reading: Reading | undefined
  /** Whether the user may not read the key that a read is put off with. */
  #isDelayRefused = false

  /**
   * @param client connected, with no command under way
   * @param ended fires when the connection has ended
   * @param patienceMs how long a reply may take before the connection counts as half open
   */
  constructor(client: Redis, ended: AbortSignal, patienceMs?: number) {
    this.#client = client
    this.#ended = ended
    const { stream } = client
    const [decode, ...others] = stream.listeners('data') as ((chunk: Buffer) => void)[]
    // A client that listens in another way decodes by itself.
    this.#isTapped = decode !== undefined && others.length === 0
    if (decode === undefined || others.length > 0) return
    stream.prependListener('data', (chunk: Buffer) => {
      this.#take(chunk, decode)
    })
    stream.off('data', decode)
    onAbort(ended, () => {
      clearTimeout(this.#patience)
      this.#fail(new Error('Connection is closed.', { cause: ended.reason as unknown }))
    })
    if (patienceMs === undefined) return
    // Begun anew with each read and never stopped, because that costs less than a timer for each.
    this.#patience = setTimeout(() => {
      if (this.#reading === undefined) return
      stream.destroy(new Error(`Socket timeout. There was no reply within ${patienceMs} ms.`))
    }, patienceMs).unref()
  }

  /** Whether a read can be put off at the server. */
  get takesDelay(): boolean {
    return this.#isTapped && !this.#isDelayRefused
  }

  /**
   * The entries of each stream; undefined when there are none.
   * @param delay puts the read off, so that this process is not woken up to begin it. The server looks at
   * its clock whenever something happens there, and ten times a second
   */
  read(
    binary: boolean,
    command: 'xread' | 'xreadgroup',
    args: readonly (number | string)[],
    delay?: ReadDelay,
  ): Promise<StreamReply | undefined> {
    if (!this.#isTapped) return this.#byClient(binary, command, args)
    const { stream } = this.#client
    const { promise, resolve, reject } = Promise.withResolvers<StreamReply | undefined>()
    if (this.#ended.aborted || !stream.writable) {
      reject(new Error('Connection is closed.'))
      return promise
    }
    if (this.#reading !== undefined) {
      // Its reply would be taken for that of the other one.
      reject(new Error('A read is under way on this connection.'))
      return promise
    }
    const decoders = [new StreamReplyDecoder(binary)]
    let text = encoded(command, args)
    if (delay !== undefined) {
      decoders.unshift(new StreamReplyDecoder(binary))
      text = encoded(command, ['BLOCK', delay.ms, 'STREAMS', delay.emptyKey, '0-0']) + text
    }
    this.#reading = { decoders, resolve, reject }
    this.#patience?.refresh()
    stream.write(text)
    return promise
  }

  async #byClient(
    binary: boolean,
    command: string,
    args: readonly (number | string)[],
  ): Promise<StreamReply | undefined> {
    return binary
      ? asTold(await this.#client.callBuffer(command, ...args), true)
      : asTold(await this.#client.call(command, ...args), false)
  }

  #take(chunk: Buffer, decode: (chunk: Buffer) => void): void {
    // What comes after the end is an answer to nobody.
    if (this.#ended.aborted) return
    let bytes = chunk
    try {
      while (bytes.length > 0) {
        const reading = this.#reading
        const decoder = reading?.decoders[0]
        if (reading === undefined || decoder === undefined) {
          decode(bytes)
          return
        }
        const progress = decoder.write(bytes)
        if (progress === 'more') {
          // It comes slowly, but it comes.
          this.#patience?.refresh()
          return
        }
        bytes = decoder.rest
        reading.decoders.shift()
        const isDelay = reading.decoders.length > 0
        if (progress === 'refused') {
          const error = replyError(decoder.refusal)
          // The read that follows is put off no longer, which is all that is lost.
          if (isDelay && troubleOf(error) === 'no-permission') this.#isDelayRefused = true
          else reading.reject(error)
        }
        if (isDelay) {
          // The read itself may take its time from now on.
          this.#patience?.refresh()
          continue
        }
        this.#reading = undefined
        reading.resolve(progress === 'complete' ? decoder.reply : undefined)
      }
    } catch (error) {
      this.#client.stream.destroy(error as Error)
    }
  }

  #fail(error: Error): void {
    const reading = this.#reading
    this.#reading = undefined
    reading?.reject(error)
  }
}

function encoded(command: string, args: readonly (number | string)[]): string {
  let text = `*${args.length + 1}\r\n$${command.length}\r\n${command}\r\n`
  for (const arg of args) {
    const value = String(arg)
    text += `$${Buffer.byteLength(value)}\r\n${value}\r\n`
  }
  return text
}

/** What the client would have thrown. */
function replyError(text: string): Error {
  const error = new Error(text)
  error.name = 'ReplyError'
  return error
}

/** What the client has decoded. */
function asTold(reply: unknown, binary: boolean): StreamReply | undefined {
  if (reply === null || !binary) return (reply as StreamReply | null) ?? undefined
  const streams = reply as readonly (readonly [Buffer, readonly (readonly [Buffer, Buffer[]])[]])[]
  return streams.map(([key, entries]) => [
    String(key),
    entries.map(([id, fields]) => [String(id), fields] as const),
  ])
}
