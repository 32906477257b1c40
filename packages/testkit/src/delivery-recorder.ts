/** What a recorder needs to know of an event that a handler saw. */
export interface DeliveredEvent {
  readonly id: string
  /** The event's ordering key; events without one are ordered among themselves. */
  readonly key?: string | undefined
  /** A number that rises in publishing order: per key, or over the whole stream if that is what is checked. */
  readonly sequence: number
  /** Who saw it. */
  readonly consumer: string
}

/** How a recorder judges order. */
export interface DeliveryRecorderOptions {
  /**
   * `key`: events of one key must be first seen in the order of their sequences. `stream`: all events must.
   * @defaultValue 'key'
   */
  readonly order?: 'key' | 'stream'
}

/** What became of the expected events. */
export interface DeliveryReport {
  /** Deliveries, with those that came again. */
  readonly received: number
  /** Different events among them. */
  readonly distinct: number
  /** Expected events that never came. */
  readonly lost: number
  /** Events that first came after one with a higher sequence had first come. A later duplicate is none. */
  readonly outOfOrder: number
  /** Deliveries of events that had come before. */
  readonly duplicates: number
  /** The ids of the first few lost events. */
  readonly missing: readonly string[]
}

/** Which deliveries a report is about. */
export interface ReportOptions {
  /** Only what this consumer saw; without it, what all saw together. */
  readonly consumer?: string
}

/** Records what handlers saw, and tells loss, duplicates and disorder. */
export interface DeliveryRecorder<E extends DeliveredEvent> {
  /** Every delivery, in the order in which it was recorded. */
  readonly deliveries: readonly E[]
  record(event: E): void
  /** Compares with the ids that should have come. */
  report(
    expected: Iterable<string | { readonly id: string }>,
    options?: ReportOptions,
  ): DeliveryReport
}

const MISSING_SHOWN = 10

/** Makes a recorder. To be called from handlers: `recorder.record({ id, key, sequence, consumer })`. */
export function createDeliveryRecorder<E extends DeliveredEvent = DeliveredEvent>(
  options: DeliveryRecorderOptions = {},
): DeliveryRecorder<E> {
  const { order = 'key' } = options
  const deliveries: E[] = []
  return {
    deliveries,
    record: (event) => {
      deliveries.push(event)
    },
    report: (expected, { consumer } = {}) => {
      const seen = deliveries.filter(
        (event) => consumer === undefined || event.consumer === consumer,
      )
      return judge(seen, expected, order)
    },
  }
}

function judge(
  deliveries: readonly DeliveredEvent[],
  expected: Iterable<string | { readonly id: string }>,
  order: 'key' | 'stream',
): DeliveryReport {
  const seen = new Set<string>()
  const highest = new Map<string | undefined, number>()
  let outOfOrder = 0
  for (const { id, key, sequence } of deliveries) {
    if (seen.has(id)) continue
    seen.add(id)
    const lane = order === 'key' ? key : undefined
    const before = highest.get(lane) ?? Number.NEGATIVE_INFINITY
    if (sequence < before) outOfOrder += 1
    else highest.set(lane, sequence)
  }
  const wanted = new Set(Array.from(expected, (one) => (typeof one === 'string' ? one : one.id)))
  const missing = [...wanted].filter((id) => !seen.has(id))
  return {
    received: deliveries.length,
    distinct: seen.size,
    lost: missing.length,
    outOfOrder,
    duplicates: deliveries.length - seen.size,
    missing: missing.slice(0, MISSING_SHOWN),
  }
}
