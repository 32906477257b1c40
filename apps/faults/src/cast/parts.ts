/** How a reader's events are promised to come. */
export type Order = 'key' | 'none' | 'stream'

/** A consumer or consumer group that has to get every event. */
export interface ReaderPart {
  readonly reader: ReaderName
  readonly kind: 'consumer' | 'group'
  readonly order: Order
  readonly processes: readonly ProcessName[]
}

export const readerNames = ['ledger', 'board', 'mail', 'billing'] as const
export type ReaderName = (typeof readerNames)[number]
export type ConsumerName = 'board' | 'ledger'
export type GroupName = 'billing' | 'mail'

export const processNames = [
  'producer',
  'ledger-1',
  'ledger-2',
  'board-1',
  'board-2',
  'mail-1',
  'mail-2',
  'mail-3',
  'billing-1',
  'billing-2',
] as const
/** One process of the cast. */
export type ProcessName = (typeof processNames)[number]

/** Two Consumers with a standby each, and two ConsumerGroups. */
export const readers: readonly ReaderPart[] = [
  { reader: 'ledger', kind: 'consumer', order: 'stream', processes: ['ledger-1', 'ledger-2'] },
  { reader: 'board', kind: 'consumer', order: 'key', processes: ['board-1', 'board-2'] },
  { reader: 'mail', kind: 'group', order: 'none', processes: ['mail-1', 'mail-2', 'mail-3'] },
  { reader: 'billing', kind: 'group', order: 'none', processes: ['billing-1', 'billing-2'] },
]

/** The reader that a process works for; undefined for the producer. */
export function readerOf(process: ProcessName): ReaderPart | undefined {
  return readers.find(({ processes }) => processes.includes(process))
}
