import { connect, defineStream, type EventStream } from '@millrace/runtime'
import type { Place } from '../harness/workbench.ts'

/** Events as small as can be: what is measured is what is lost. */
export interface Numbered {
  readonly n: number
}

export const numbered: EventStream<Numbered, Numbered> = defineStream<Numbered>('numbered')

/** The numbers of the events that are in the stream. */
export async function storedAt({ url, prefix }: Place): Promise<ReadonlySet<number>> {
  await using millrace = await connect(url, { prefix })
  const stored = new Set<number>()
  for await (const { data } of millrace.reader(numbered, { from: 'earliest', live: false }))
    stored.add(data.n)
  return stored
}
