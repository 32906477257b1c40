import { join } from 'node:path'
import { connect, type Millrace } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { Journal } from '../load/journal.ts'
import type { HostProgram, HostTask } from '../loss/program.ts'
import { timedStream } from './timed.ts'

// Consumers and members of groups in one process, with default options. Each handler writes down the
// number of its event before it returns.
let millrace: Millrace

serve({
  async open({ place, directory, run, consumers, groups }: HostTask) {
    // Long enough to wait for a server that starts again on a busy machine.
    millrace = await connect(place.url, { prefix: place.prefix, deadlineMs: 60_000 })
    const stream = timedStream()
    const journalOf = (name: string): Journal => new Journal(join(directory, `${name}.${run}`), 1)
    const opened = consumers.map((name) => {
      const journal = journalOf(name)
      return millrace.consumer(stream, { name }).start(({ data }) => {
        journal.append(data.sequence)
      })
    })
    const joined = groups.map((name) => {
      const journal = journalOf(name)
      return millrace.consumerGroup(stream, { name }).start(({ data }) => {
        journal.append(data.sequence)
      })
    })
    await Promise.all([...opened, ...joined].map(({ ready }) => ready))
  },

  async close() {
    await millrace.close()
  },
} satisfies HostProgram)
