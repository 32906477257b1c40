import { readdirSync, readFileSync } from 'node:fs'

/**
 * The CPU time of all threads of the processes since they began, in milliseconds. It comes from the
 * scheduler, to the nanosecond: the hundredths of a second in `stat` would be most of what an idle process
 * uses within a few seconds. Linux only.
 *
 * @throws where there is no /proc, or one of the processes has ended
 */
export function cpuMsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOfOne(pid), 0)
}

/** The memory of the processes; what several share is divided among them (PSS). */
export function memoryMiBOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + memoryKiBOfOne(pid), 0) / 1_024
}

function cpuMsOfOne(pid: number): number {
  let ns = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readOr(`/proc/${pid}/task/${thread}/schedstat`, '0').split(' ', 1)[0])
  }
  return ns / 1e6
}

function memoryKiBOfOne(pid: number): number {
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
