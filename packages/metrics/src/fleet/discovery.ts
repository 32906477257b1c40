import { listOf, textOf } from './stream-reading.ts'
import type { FleetNode, Reply } from './node.ts'

/** How many keys one step of SCAN looks at: less than two tenths of a millisecond of the server. */
const KEYS_PER_SCAN = 300

/**
 * Finds the streams of one server with `SCAN … TYPE stream`, never with KEYS: some steps in each scrape, so
 * that a pass over millions of keys is spread over several. What a pass has not met is forgotten.
 */
export class Discovery {
  readonly #node: FleetNode
  readonly #everyMs: number
  #known = new Set<string>()
  #met = new Set<string>()
  /** Where the pass that is under way goes on; undefined between two. */
  #cursor: string | undefined
  #lastBeganMs = Number.NEGATIVE_INFINITY
  #isComplete = false

  constructor(node: FleetNode, everyMs: number) {
    this.#node = node
    this.#everyMs = everyMs
  }

  /** Keys that hold a stream, as far as is known. */
  get keys(): Iterable<string> {
    return this.#cursor === undefined ? this.#known : [...this.#known, ...this.#met]
  }

  /** Whether all keys have been looked at since the start. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** The key is gone, or holds something else by now. */
  forget(key: string): void {
    this.#known.delete(key)
    this.#met.delete(key)
  }

  /** Goes on with a pass, or begins one when it is time. Answers what failed, if something did. */
  async step(nowMs: number, mostCommands: number, signal: AbortSignal): Promise<Reply | undefined> {
    if (this.#cursor === undefined) {
      if (nowMs - this.#lastBeganMs < this.#everyMs) return undefined
      this.#lastBeganMs = nowMs
      this.#cursor = '0'
      this.#met = new Set()
    }
    for (let commands = 0; commands < mostCommands; commands++) {
      const reply = await this.#node.one(
        ['scan', this.#cursor, 'count', KEYS_PER_SCAN, 'type', 'stream'],
        signal,
      )
      if (reply.failure !== undefined) return reply
      const [cursor, keys] = listOf(reply.value)
      for (const key of listOf(keys)) this.#met.add(textOf(key))
      this.#cursor = textOf(cursor)
      if (this.#cursor === '0') {
        this.#known = this.#met
        this.#met = new Set()
        this.#cursor = undefined
        this.#isComplete = true
        return undefined
      }
    }
    return undefined
  }
}
