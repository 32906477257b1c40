import { readFileSync, readlinkSync } from 'node:fs'

/**
 * Who holds a lease, in terms that let another process on the same host find out that it is gone:
 * the boot, the namespaces that give process ids and clocks their meaning, the process id, and when
 * that process started (ids are used again).
 */
export interface HostIdentity {
  readonly bootId: string
  readonly pidNamespace: string
  readonly timeNamespace: string
  readonly pid: number
  readonly startTime: string
}

/** This process; undefined where the system does not tell all of it, and then nothing is concluded. */
export function identifyHost(pid: number = process.pid): HostIdentity | undefined {
  try {
    const startTime = processStart(pid)
    if (startTime === undefined) return undefined
    return {
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      pidNamespace: readlinkSync('/proc/self/ns/pid'),
      timeNamespace: readlinkSync('/proc/self/ns/time'),
      pid,
      startTime,
    }
  } catch {
    return undefined
  }
}

/** As text for the state in Redis. */
export function formatHost(host: HostIdentity | undefined): string {
  if (host === undefined) return ''
  return [host.bootId, host.pidNamespace, host.timeNamespace, host.pid, host.startTime].join(' ')
}

/**
 * Whether the holder that wrote this text is provably gone: same boot and namespaces as ours, and its
 * process does not exist, or is another one by its start time, or is a zombie. Anything unknown is no.
 */
export function isProvablyGone(holder: string, here: HostIdentity | undefined): boolean {
  const [bootId, pidNamespace, timeNamespace, pidText, startTime] = holder.split(' ')
  if (here === undefined || startTime === undefined) return false
  if (bootId !== here.bootId || pidNamespace !== here.pidNamespace) return false
  if (timeNamespace !== here.timeNamespace) return false
  const pid = Number(pidText)
  if (!Number.isInteger(pid) || pid <= 0) return false
  if (!processTableReadable()) return false
  return processStart(pid) !== startTime
}

/**
 * When the process started, in clock ticks since boot; undefined when there is no such process or it
 * is a zombie or being removed. The name in parentheses may hold anything, so fields count from the
 * last one.
 */
function processStart(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  if (state === 'Z' || state === 'X' || state === 'x') return undefined
  return fields[19]
}

/** With `hidepid` other users' processes look absent; then nothing may be concluded from absence. */
function processTableReadable(): boolean {
  try {
    readFileSync('/proc/1/stat', 'utf8')
    return true
  } catch {
    return false
  }
}
