import { channels, type SettledDelivery } from '../diagnostics.ts'

/** Few enough that what was told is gone before the garbage collector would have to move it. */
const MOST_IN_ONE_MESSAGE = 128

/**
 * Gathers what became of deliveries, so that whoever counts them is told once in a turn of the event
 * loop and not for each event. Only worth filling while somebody listens.
 */
export class DeliveryTally {
  readonly #whose: {
    readonly stream: string
    readonly name: string
    readonly kind: 'consumer' | 'group'
  }
  #gathered: SettledDelivery[] = []
  #due = false

  constructor(stream: string, name: string, kind: 'consumer' | 'group') {
    this.#whose = { stream, name, kind }
  }

  /** Answers whether those who listen were told at once. */
  add(delivery: SettledDelivery): boolean {
    this.#gathered.push(delivery)
    if (this.#gathered.length >= MOST_IN_ONE_MESSAGE) {
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

  #publish(): void {
    const deliveries = this.#gathered
    if (deliveries.length === 0) return
    this.#gathered = []
    channels.deliveriesSettled.publish({ ...this.#whose, deliveries })
  }
}
