import { readdirSync, readFileSync } from 'node:fs'

/** What processes have used, by the books of the operating system. */
export interface Usage {
  /** CPU time of all their threads since they began, in milliseconds. */
  readonly cpuMs: number
  /** Their memory; what several share is divided among them (PSS). */
  readonly memoryMiB: number
}

/**
 * The sum over the processes. Linux only. The time comes from the scheduler, to the nanosecond: the
 * hundredths of a second in `stat` would be most of what an idle process uses within a few seconds.
 *
 * @throws where there is no /proc, or one of the processes has ended
 */
export function usageOf(pids: readonly number[]): Usage {
  return {
    cpuMs: pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0),
    memoryMiB: pids.reduce((sum, pid) => sum + memoryKiBOf(pid), 0) / 1_024,
  }
}

function cpuMsOf(pid: number): number {
  let ns = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readOr(`/proc/${pid}/task/${thread}/schedstat`, '0').split(' ', 1)[0])
  }
  return ns / 1e6
}

function memoryKiBOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
  const kiB = /^Pss:\s+(\d+) kB$/m.exec(text)?.[1]
  if (kiB === undefined) throw new Error(`the operating system does not tell the memory of ${pid}`)
  return Number(kiB)
}

/** A thread may end between the list and the look at it. */
function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return otherwise
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return otherwise
    throw error
  }
}
