import { compareIds } from '@millrace/runtime'
import type { SpanContext } from '@opentelemetry/api'

/** More than this are not remembered for one reader; their settling is then seen in no trace. */
const MOST = 10_000

/** Which spans have processed events that Redis has not confirmed yet, by reader and event. */
export class Unsettled {
  readonly #byReader = new Map<string, Map<string, SpanContext>>()

  add(stream: string, name: string, id: string, context: SpanContext): void {
    const key = `${stream}\0${name}`
    let events = this.#byReader.get(key)
    if (events === undefined) this.#byReader.set(key, (events = new Map()))
    if (events.size >= MOST) {
      const [oldest] = events.keys()
      if (oldest !== undefined) events.delete(oldest)
    }
    events.set(id, context)
  }

  /** Takes out what is at or before a position. */
  takeThrough(stream: string, name: string, position: string): SpanContext[] {
    return this.#take(stream, name, (events) =>
      [...events.keys()].filter((id) => compareIds(id, position) <= 0),
    )
  }

  /** Takes out these events. */
  takeThese(stream: string, name: string, ids: readonly string[]): SpanContext[] {
    return this.#take(stream, name, () => ids)
  }

  clear(): void {
    this.#byReader.clear()
  }

  #take(
    stream: string,
    name: string,
    choose: (events: ReadonlyMap<string, SpanContext>) => readonly string[],
  ): SpanContext[] {
    const events = this.#byReader.get(`${stream}\0${name}`)
    if (events === undefined) return []
    return choose(events).flatMap((id) => {
      const context = events.get(id)
      events.delete(id)
      return context ?? []
    })
  }
}
