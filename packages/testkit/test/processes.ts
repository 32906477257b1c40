import { execFileSync } from 'node:child_process'

/** Whether a process exists and is more than an entry that its parent has not collected yet. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return stateOf(pid) !== 'Z'
}

/** Whether a process stands still because of SIGSTOP. */
export function isStopped(pid: number): boolean {
  return stateOf(pid) === 'T'
}

function stateOf(pid: number): string | undefined {
  try {
    return / ([A-Z])$/.exec(
      execFileSync('ps', ['-o', 'pid=,state=', '-p', String(pid)], { encoding: 'utf8' }).trim(),
    )?.[1]
  } catch {
    return undefined
  }
}
