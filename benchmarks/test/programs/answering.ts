import { serve } from '../../src/harness/program.ts'

serve({
  double: (input: number) => Promise.resolve(2 * input),
  fail: () => Promise.reject(new Error('it went wrong')),
  leave: () => process.exit(3),
})
