import { serve } from '../../src/harness/program.ts'
import { Journal } from '../../src/load/journal.ts'

serve({
  double: (input: number) => Promise.resolve(2 * input),
  fail: () => Promise.reject(new Error('it went wrong')),
  leave: () => process.exit(3),
  write: (path: string) => {
    const journal = new Journal(path, 1)
    for (const number of [1, 2, 3]) journal.append(number)
  },
})
