import type { Benchmark } from '../harness/workbench.ts'
export const fanout: Benchmark = { name: 'fanout', summary: '', run: () => Promise.reject(new Error('')) }
