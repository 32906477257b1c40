import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { RedisAddress } from '../../src/index.ts'

/** What a process of its own does. */
export interface WorkerPlan {
  readonly address: RedisAddress
  readonly prefix: string
  readonly stream: string
  readonly role:
    | {
        readonly is: 'consumer'
        readonly name: string
        readonly leaseMs?: number
        readonly checkpointEvery?: number
      }
    | {
        readonly is: 'member'
        readonly name: string
        readonly leaseMs?: number
        readonly hangsAtFirst?: boolean
      }
    | { readonly is: 'producer'; readonly producerId: string }
  readonly sameHostTakeover?: boolean
}

/** What it tells, each before it goes on. */
export type WorkerMessage =
  | { readonly tells: 'ready' }
  | { readonly tells: 'handled'; readonly id: string; readonly n: number; readonly token: string }
  | { readonly tells: 'published'; readonly id: string; readonly n: number }
  | { readonly tells: 'stopped'; readonly code: string }

/** A running worker. */
export interface WorkerProcess {
  readonly pid: number
  readonly handled: readonly Extract<WorkerMessage, { tells: 'handled' }>[]
  readonly published: readonly Extract<WorkerMessage, { tells: 'published' }>[]
  readonly ready: Promise<unknown>
  kill(signal: NodeJS.Signals): void
  /** Ends it if it still runs; everything that it told has arrived then. */
  end(): Promise<void>
}

const program = new URL('programs/worker.ts', import.meta.url).pathname

export function startWorker(plan: WorkerPlan): WorkerProcess {
  const child = fork(program, [JSON.stringify(plan)], {
    execArgv: ['--conditions=millrace-source'],
  })
  const handled: Extract<WorkerMessage, { tells: 'handled' }>[] = []
  const published: Extract<WorkerMessage, { tells: 'published' }>[] = []
  const ready = Promise.withResolvers<void>()
  child.on('message', (message: WorkerMessage) => {
    if (message.tells === 'handled') handled.push(message)
    if (message.tells === 'published') published.push(message)
    if (message.tells === 'ready') ready.resolve()
  })
  child.on('exit', () => {
    ready.reject(new Error('the process ended before it was ready'))
  })
  ready.promise.catch(() => undefined)
  return {
    pid: child.pid ?? 0,
    handled,
    published,
    ready: ready.promise,
    kill: (signal) => void child.kill(signal),
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
