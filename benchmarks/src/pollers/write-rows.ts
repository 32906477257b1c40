import { serve } from '../harness/program.ts'
import { Steady } from '../load/steady.ts'
import { timedEventAt } from '../load/timed-event.ts'
import type { RatedPublisherProgram } from '../resources/program.ts'
import { openEventTable } from './event-table.ts'

// Writes events into the table, each in a transaction of its own, in a process that is on no side.
let write: (sequence: number) => Promise<void>
let steady: Steady
let written = 0

serve({
  async open({ database }: { readonly database: string }) {
    const table = await openEventTable(database, 'writer')
    write = (sequence) => table.insert(JSON.stringify(timedEventAt(sequence)))
  },

  begin(perSecond: number) {
    steady = new Steady({ perSecond, firstSequence: written }, write)
  },

  async stop() {
    written = await steady.stop()
    return written
  },
} satisfies RatedPublisherProgram)
