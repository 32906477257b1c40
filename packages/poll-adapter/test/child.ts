import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A process of its own, for what has to be killed. */
export interface Child<Message = unknown> {
  readonly process: ChildProcess
  readonly messages: readonly Message[]
  readonly isRunning: boolean
  signal(name: NodeJS.Signals): void
  /** Kills it if it still runs; everything that it told has arrived then. */
  end(): Promise<void>
}

/** Starts a program of `test/programs`. */
export function startChild<Message>(program: string, args: readonly string[]): Child<Message> {
  const path = new URL(`programs/${program}`, import.meta.url).pathname
  const child = fork(path, args, { execArgv: ['--conditions=millrace-source'] })
  const messages: Message[] = []
  child.on('message', (message) => messages.push(message as Message))
  return {
    process: child,
    messages,
    get isRunning() {
      return child.exitCode === null && child.signalCode === null
    },
    signal: (name) => void child.kill(name),
    end: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  // What it told last may still be on the way.
  if (child.connected) await once(child, 'disconnect')
}

/** Pseudo-random numbers that a printed seed brings back. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
