import { type CommandBytes, CommandReader } from './command-reader.ts'
import { ReplyFraming, type Segment } from './reply-framing.ts'

/** A segment with the command whose reply it opens, where that is known. */
export interface AccountedSegment extends Segment {
  readonly answers?: CommandBytes
}

const SUBSCRIBING: ReadonlySet<string> = new Set([
  'SUBSCRIBE',
  'PSUBSCRIBE',
  'SSUBSCRIBE',
  'UNSUBSCRIBE',
  'PUNSUBSCRIBE',
  'SUNSUBSCRIBE',
])
const UNCOUNTABLE: ReadonlySet<string> = new Set(['MONITOR', 'SYNC', 'PSYNC'])

/**
 * Knows which command of a connection each reply answers, since a server answers in order. A connection
 * on which replies and commands no longer pair up (pub/sub under RESP2, MONITOR, replication, CLIENT REPLY)
 * is passed through from then on without accounting.
 */
export class ReplyLedger {
  readonly #commands = new CommandReader()
  readonly #framing = new ReplyFraming()
  #unanswered: CommandBytes[] = []
  #accounting = true
  #protocol: 2 | 3 = 2

  sent(chunk: Buffer): void {
    if (!this.#accounting) return
    try {
      for (const command of this.#commands.feed(chunk)) this.#note(command)
    } catch {
      // What is sent is no RESP, so there is nothing to pair.
      this.#giveUp()
    }
  }

  received(chunk: Buffer): readonly AccountedSegment[] {
    const whole = [{ bytes: chunk, opens: false, closes: false, kind: 'reply' } as const]
    if (!this.#accounting) return whole
    try {
      return this.#framing.feed(chunk).map((segment) => this.#account(segment))
    } catch {
      this.#giveUp()
      return whole
    }
  }

  #account(segment: Segment): AccountedSegment {
    if (!segment.opens || segment.kind === 'push') return segment
    const answers = this.#unanswered.shift()
    return answers ? { ...segment, answers } : segment
  }

  #note(command: CommandBytes): void {
    const name = word(command[0])
    if (name === 'HELLO') this.#protocol = word(command[1]) === '3' ? 3 : this.#protocol
    if (SUBSCRIBING.has(name)) {
      // Under RESP3 these are answered by pushes only.
      if (this.#protocol === 2) this.#giveUp()
    } else if (UNCOUNTABLE.has(name) || (name === 'CLIENT' && word(command[1]) === 'REPLY'))
      this.#giveUp()
    else this.#unanswered.push(command)
  }

  #giveUp(): void {
    this.#accounting = false
    this.#unanswered = []
  }
}

function word(argument: Buffer | undefined): string {
  return argument ? argument.toString('latin1').toUpperCase() : ''
}
