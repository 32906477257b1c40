import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { forgetProcess, guardProcess } from './process-guard.ts'

/** What to run, and how to see that it is up. */
export interface LaunchPlan {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  /** A line of output that matches tells that the process is ready. */
  readonly ready: RegExp
  /** How long the line may take, in milliseconds. */
  readonly readyTimeoutMs: number
}

/** A child that cannot outlive this process. */
export interface GuardedProcess {
  readonly pid: number
  /** Resolves once the child has ended, whatever ended it. */
  readonly exited: Promise<void>
  readonly running: boolean
  signal(signal: NodeJS.Signals): void
}

/** The child ended, or stayed silent, before it was ready. */
export class LaunchError extends Error {
  /** The last lines that it wrote. */
  readonly output: string

  constructor(problem: string, output: string) {
    super(output === '' ? problem : `${problem}; it wrote:\n${output}`)
    this.name = 'LaunchError'
    this.output = output
  }
}

/**
 * The child begins as a shell that waits for a go-ahead on a pipe and then becomes the program (`exec`
 * keeps the process id). The go-ahead is given once the guard knows the id, and a shell whose pipe
 * closes first just ends: at no instant can our death leave a program behind.
 */
const WAIT_FOR_GO = 'read -r go <&3 && exec "$@" 3<&-'

const KEPT_LINES = 40

/** Starts a program and resolves when it says that it is ready. */
export async function launch(plan: LaunchPlan): Promise<GuardedProcess> {
  const child = spawn('sh', ['-c', WAIT_FOR_GO, 'sh', plan.command, ...plan.args], {
    cwd: plan.cwd,
    // Its own process group: a Ctrl-C is for the owner, who then stops its servers in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  const exited = Promise.withResolvers<void>()
  child.once('error', () => exited.resolve())
  child.once('exit', () => exited.resolve())
  const output: string[] = []
  const ready = readyLine(child, plan, output, exited.promise)
  // Awaited below; until then a failure must not count as unhandled.
  ready.catch(() => {})

  if (child.pid === undefined) {
    await ready
    throw new LaunchError(`${plan.command} could not be started`, '')
  }
  const pid = child.pid
  await guardProcess(pid)
  void exited.promise.then(() => forgetProcess(pid)).catch(() => {})
  goAhead(child)
  try {
    await ready
  } catch (error) {
    child.kill('SIGKILL')
    await exited.promise
    throw error
  }
  return {
    pid,
    exited: exited.promise,
    get running() {
      return child.exitCode === null && child.signalCode === null
    },
    signal: (signal) => {
      child.kill(signal)
    },
  }
}

function goAhead(child: ChildProcess): void {
  const pipe = child.stdio[3]
  if (!pipe || !('end' in pipe)) throw new Error('the child has no go-ahead pipe')
  // A child that died meanwhile is reported by its exit, not by this pipe.
  pipe.on('error', () => {})
  pipe.end('go\n')
}

async function readyLine(
  child: ChildProcess,
  plan: LaunchPlan,
  output: string[],
  exited: Promise<void>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(() => {
    reject(
      new LaunchError(
        `${plan.command} was not ready within ${plan.readyTimeoutMs} ms`,
        output.join('\n'),
      ),
    )
  }, plan.readyTimeoutMs)
  child.once('error', (error) =>
    reject(new LaunchError(`${plan.command} could not be started: ${error.message}`, '')),
  )
  const drained: Promise<void>[] = []
  for (const stream of [child.stdout, child.stderr]) {
    // Read to the end of the process's life: a full pipe would block the server in the middle of a log line.
    if (stream)
      drained.push(
        eachLine(stream, (line) => {
          output.push(line)
          if (output.length > KEPT_LINES) output.shift()
          if (plan.ready.test(line)) resolve()
        }),
      )
  }
  // The last words may arrive after the exit is known.
  void exited
    .then(() => Promise.all(drained))
    .then(() => {
      reject(
        new LaunchError(
          `${plan.command} ended before it was ready (${ending(child)})`,
          output.join('\n'),
        ),
      )
    })
  try {
    await promise
  } finally {
    clearTimeout(timer)
  }
}

async function eachLine(stream: Readable, see: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }))
    see(line)
}

function ending(child: ChildProcess): string {
  return child.signalCode
    ? `signal ${child.signalCode}`
    : `exit code ${child.exitCode ?? 'unknown'}`
}
