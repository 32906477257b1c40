import { serve } from '../harness/program.ts'
import { Steady } from '../load/steady.ts'
import { timedEventAt } from '../load/timed-event.ts'
import type { RatedPublisherProgram } from '../resources/program.ts'
import { openEventTable } from './event-table.ts'

// Writes events into the table, each in a transaction of its own, in a process that is on no side.
let write: (sequence: number) => undefined
let steady: Steady
let written = 0

serve({
  async open({ database: path }: { readonly database: string }) {
    const database = openEventTable(path)
    const insert = database.prepare('INSERT INTO events (body) VALUES (?)')
    write = (sequence) => {
      insert.run(JSON.stringify(timedEventAt(sequence)))
      return undefined
    }
    await Promise.resolve()
  },

  begin(perSecond: number) {
    steady = new Steady({ perSecond, firstSequence: written }, write)
  },

  async stop() {
    written = await steady.stop()
    return written
  },
} satisfies RatedPublisherProgram)
