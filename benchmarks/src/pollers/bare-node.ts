import { serve } from '../harness/program.ts'

// What a process of Node takes before it has loaded anything: the floor of either side's memory.
serve({ open: () => undefined })
