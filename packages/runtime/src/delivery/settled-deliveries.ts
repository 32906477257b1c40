import type { DeliveriesSettled, DeliveryDetails, SettledDelivery } from '../diagnostics.ts'

/** What is said of a delivery of which nothing else is to be said. */
const UNREMARKABLE: DeliveryDetails = Object.freeze({
  attempt: 1,
  outcome: 'done',
  redelivered: false,
  redriven: false,
})

/** The deliveries that a message of `deliveriesSettled` tells of, one by one. */
export function settledDeliveries(fact: DeliveriesSettled): SettledDelivery[] {
  const { ids, receivedMs, startedMs, settledMs, traceparents, remarkable } = fact
  return ids.map((id, at) => {
    const { attempt, outcome, redelivered, redriven } = remarkable.get(at) ?? UNREMARKABLE
    return {
      id,
      attempt,
      outcome,
      redelivered,
      redriven,
      receivedMs: receivedMs[at] ?? 0,
      startedMs: startedMs[at] ?? 0,
      settledMs: settledMs[at] ?? 0,
      traceparent: traceparents[at],
    }
  })
}
