import type { Redis } from 'ioredis'
import { type StreamReply, StreamReplyDecoder } from './stream-reply.ts'

/** Stands in the connection's own decoder for a reply that was decoded here. */
const DECODED = Buffer.from('_\r\n')

/**
 * Sends XREAD and XREADGROUP, and decodes their entries past the client's decoder, which takes more time for
 * them than everything else that is done with an event. The client knows of the command and of its end, so
 * that errors, timeouts and null replies are its business as ever. It is for connections with one command at
 * a time.
 */
export class StreamReads {
  readonly #client: Redis
  readonly #isTapped: boolean
  #decoder: StreamReplyDecoder | undefined
  #reply: StreamReply | undefined

  /** @param client connected, with no command under way */
  constructor(client: Redis) {
    this.#client = client
    const { stream } = client
    const [decode, ...others] = stream.listeners('data') as ((chunk: Buffer) => void)[]
    // A client that listens in another way decodes by itself.
    this.#isTapped = decode !== undefined && others.length === 0
    if (decode === undefined || others.length > 0) return
    stream.prependListener('data', (chunk: Buffer) => {
      this.#take(chunk, decode)
    })
    stream.off('data', decode)
  }

  /** The entries of each stream; undefined when there are none. */
  async read(
    binary: boolean,
    command: 'xread' | 'xreadgroup',
    args: readonly (number | string)[],
  ): Promise<StreamReply | undefined> {
    if (this.#isTapped) this.#decoder = new StreamReplyDecoder(binary)
    this.#reply = undefined
    try {
      const plain = binary
        ? await this.#client.callBuffer(command, ...args)
        : await this.#client.call(command, ...args)
      return this.#reply ?? decoded(plain, binary)
    } finally {
      this.#decoder = undefined
      this.#reply = undefined
    }
  }

  #take(chunk: Buffer, decode: (chunk: Buffer) => void): void {
    const decoder = this.#decoder
    if (decoder === undefined) {
      decode(chunk)
      return
    }
    try {
      switch (decoder.write(chunk)) {
        case 'more':
          return
        case 'complete':
          this.#reply = decoder.reply
          this.#decoder = undefined
          decode(DECODED)
          break
        case 'foreign':
          this.#decoder = undefined
          break
      }
    } catch (error) {
      this.#client.stream.destroy(error as Error)
      return
    }
    const { rest } = decoder
    if (rest.length > 0) decode(rest)
  }
}

/** What the client has decoded. */
function decoded(reply: unknown, binary: boolean): StreamReply | undefined {
  if (reply === null || !binary) return (reply as StreamReply | null) ?? undefined
  const streams = reply as readonly (readonly [Buffer, readonly (readonly [Buffer, Buffer[]])[]])[]
  return streams.map(([key, entries]) => [
    String(key),
    entries.map(([id, fields]) => [String(id), fields] as const),
  ])
}
