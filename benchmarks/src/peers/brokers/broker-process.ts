import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, connect as connectSocket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface BrokerPlan {
  readonly command: string
  readonly args: readonly string[]
  readonly folder: string
  readonly env?: Readonly<Record<string, string>>
  /** Where it accepts connections once it is ready. */
  readonly readyPort: number
  readonly readyWithinMs: number
}

const KEPT_CHARACTERS = 4_000
const LOOK_MS = 20

/** Those that run: none may outlive this process. */
const groups = new Set<number>()
process.on('exit', () => {
  for (const group of groups) killGroup(group)
})

/** A broker in a process group of its own, which may consist of several processes. */
export class BrokerProcess {
  readonly #plan: BrokerPlan
  #child: ChildProcess | undefined
  #output = ''

  constructor(plan: BrokerPlan) {
    this.#plan = plan
  }

  async start(): Promise<void> {
    const { command, args, folder, env, readyPort, readyWithinMs } = this.#plan
    this.#output = ''
    const child = spawn(command, args, {
      cwd: folder,
      detached: true,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    child.on('error', (error) => (this.#output += error.message))
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        this.#output = `${this.#output}${data.toString()}`.slice(-KEPT_CHARACTERS)
      })
    if (child.pid !== undefined) groups.add(child.pid)
    const endMs = performance.now() + readyWithinMs
    while (!(await accepts(readyPort))) {
      if (child.exitCode !== null || child.pid === undefined || performance.now() > endMs) {
        await this.kill()
        throw new Error(`${command} did not start:\n${this.#output}`)
      }
      await pause(LOOK_MS)
    }
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined) return
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null
    killGroup(child.pid)
    await ended
    groups.delete(child.pid)
  }

  /** The processes of its group: what it started itself belongs to it. */
  pids(): readonly number[] {
    const group = this.#child?.pid
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => groupOf(pid) === group)
  }
}

/** Free at this moment, on the loopback address. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (typeof address !== 'object' || address === null) throw new Error('a port has no number')
  return address.port
}

/** What a program says about its version; `undefined` where there is none. */
export function programVersion(
  command: string,
  args: readonly string[],
  pattern: RegExp,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 10_000 }, (error, stdout, stderr) => {
      resolve(error ? undefined : pattern.exec(`${stdout}${stderr}`)?.[1])
    })
  })
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function groupOf(pid: number): number | undefined {
  try {
    // After the name in parentheses, which may have spaces: state, parent, group.
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[2])
  } catch {
    return undefined
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
