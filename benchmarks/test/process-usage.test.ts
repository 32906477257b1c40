import { expect, test } from 'vitest'
import { cpuMsOf, memoryMiBOf } from '../src/harness/process-usage.ts'
import { stopwatch } from '../src/load/stopwatch.ts'

const isLinux = process.platform === 'linux'

test.runIf(isLinux)('the CPU time of this process is what it says itself', () => {
  const before = cpuMsOf([process.pid])
  const stop = stopwatch()
  let sum = 0
  while (cpuMsOf([process.pid]) - before < 100) sum += 1
  const { cpuMs } = stop()
  expect(sum).toBeGreaterThan(0)
  // The books of both are written at different moments.
  expect(cpuMs).toBeGreaterThan(50)
})

test.runIf(isLinux)('memory adds up over processes', () => {
  const one = memoryMiBOf([process.pid])
  expect(one).toBeGreaterThan(5)
  expect(memoryMiBOf([process.pid, process.pid])).toBeGreaterThan(one * 1.5)
})

test.runIf(isLinux)('a process that does not exist has used nothing that could be told', () => {
  expect(() => cpuMsOf([2 ** 22 + 1])).toThrow('ENOENT')
})
