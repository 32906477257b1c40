import { channels, type DeliveriesSettled, type DeliveryDetails } from '../diagnostics.ts'

/** Few enough that what was told is gone before the garbage collector would have to move it. */
const MOST_IN_ONE_MESSAGE = 128

/**
 * Gathers what became of deliveries, so that whoever counts them is told once in a turn of the event
 * loop and not for each event. Only worth filling while somebody listens.
 */
export class DeliveryTally {
  readonly #stream: string
  readonly #name: string
  readonly #kind: DeliveriesSettled['kind']
  #ids: string[] = []
  /** Used again for each message: to make them anew would be the greater part of what telling costs. */
  readonly #receivedMs = new Float64Array(MOST_IN_ONE_MESSAGE)
  readonly #startedMs = new Float64Array(MOST_IN_ONE_MESSAGE)
  readonly #settledMs = new Float64Array(MOST_IN_ONE_MESSAGE)
  /** Made when there is something to put into them. */
  #traceparents: (string | undefined)[] | undefined
  #remarkable: Map<number, DeliveryDetails> | undefined
  #due = false

  constructor(stream: string, name: string, kind: DeliveriesSettled['kind']) {
    this.#stream = stream
    this.#name = name
    this.#kind = kind
  }

  /** It was done at the first attempt. Answers whether those who listen were told at once. */
  add(
    id: string,
    receivedMs: number,
    startedMs: number,
    settledMs: number,
    traceparent: string | undefined,
  ): boolean {
    const place = this.#ids.push(id) - 1
    this.#receivedMs[place] = receivedMs
    this.#startedMs[place] = startedMs
    this.#settledMs[place] = settledMs
    if (traceparent !== undefined) {
      const traceparents = (this.#traceparents ??= [])
      while (traceparents.length < place) traceparents.push(undefined)
      traceparents.push(traceparent)
    }
    if (place + 1 === MOST_IN_ONE_MESSAGE) {
      this.#publish()
      return true
    }
    if (!this.#due) {
      this.#due = true
      setImmediate(() => {
        this.#due = false
        this.#publish()
      })
    }
    return false
  }

  /** Says more of the one that is added next. */
  remark(details: DeliveryDetails): void {
    this.#remarkable ??= new Map()
    this.#remarkable.set(this.#ids.length, details)
  }

  #publish(): void {
    const ids = this.#ids
    if (ids.length === 0) return
    const message: DeliveriesSettled = {
      stream: this.#stream,
      name: this.#name,
      kind: this.#kind,
      ids,
      receivedMs: this.#receivedMs,
      startedMs: this.#startedMs,
      settledMs: this.#settledMs,
      traceparents: this.#traceparents ?? NO_TRACEPARENTS,
      remarkable: this.#remarkable ?? NONE_REMARKABLE,
    }
    this.#ids = []
    this.#traceparents = undefined
    this.#remarkable = undefined
    channels.deliveriesSettled.publish(message)
  }
}

const NO_TRACEPARENTS: DeliveriesSettled['traceparents'] = Object.freeze([])
const NONE_REMARKABLE: DeliveriesSettled['remarkable'] = new Map()
