import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Answer, Asks, Request } from './program.ts'

type InputOf<A> = A extends (input: infer Input) => unknown ? Input : never
type OutputOf<A> = A extends (input: never) => infer Output ? Awaited<Output> : never

/** A program in a process of its own; disposal ends it. */
export interface ProgramProcess<Program extends Asks> extends AsyncDisposable {
  readonly pid: number
  ask<Name extends keyof Program & string>(
    name: Name,
    input: InputOf<Program[Name]>,
  ): Promise<OutputOf<Program[Name]>>
  /** Sends a signal; for SIGKILL, resolves once the process is gone. What it was asked for is rejected. */
  kill(signal: 'SIGCONT' | 'SIGKILL' | 'SIGSTOP'): Promise<void>
}

export interface StartOptions {
  /** More arguments for Node, such as `--expose-gc`. */
  readonly nodeArgs?: readonly string[]
  /**
   * A directory in which compiled code is kept from one start to the next, as if from a build: a process
   * that finds all of it there starts faster and holds no compiler for TypeScript.
   */
  readonly compileCache?: string
}

/** Starts a program that calls `serve`; its own output goes to standard error. */
export function startProgram<Program extends Asks>(
  file: URL,
  options: StartOptions = {},
): ProgramProcess<Program> {
  const path = fileURLToPath(file)
  const child = fork(path, [], {
    execArgv: [...process.execArgv, ...(options.nodeArgs ?? [])],
    stdio: ['ignore', 2, 2, 'ipc'],
    ...(options.compileCache === undefined
      ? {}
      : { env: { ...process.env, NODE_COMPILE_CACHE: options.compileCache } }),
  })
  return new ForkedProgram<Program>(basename(path), child)
}

/**
 * Those that run. They end with the channel when this process does, but one that was stopped would not
 * hear of it.
 */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

interface Outstanding {
  readonly resolve: (output: unknown) => void
  readonly reject: (error: Error) => void
}

class ForkedProgram<Program extends Asks> implements ProgramProcess<Program> {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #outstanding = new Map<number, Outstanding>()
  readonly #exited: Promise<unknown>
  #asked = 0
  #stopped = false

  constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.#child = child
    this.#exited = once(child, 'exit')
    running.add(child)
    child.on('message', (message) => {
      this.#settle(message as Answer)
    })
    child.on('exit', (code, signal) => {
      running.delete(child)
      this.#rejectAll(new Error(`${name} ended early (${signal ?? `exit code ${String(code)}`})`))
    })
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} could not be started`)
    return this.#child.pid
  }

  async kill(signal: 'SIGCONT' | 'SIGKILL' | 'SIGSTOP'): Promise<void> {
    this.#child.kill(signal)
    this.#stopped = signal === 'SIGSTOP'
    if (signal === 'SIGKILL') await this.#exited
  }

  async ask<Name extends keyof Program & string>(
    name: Name,
    input: InputOf<Program[Name]>,
  ): Promise<OutputOf<Program[Name]>> {
    this.#asked += 1
    const request: Request = { id: this.#asked, ask: name, input }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#outstanding.set(request.id, { resolve, reject })
    this.#child.send(request, (error) => {
      if (error) reject(error)
    })
    return (await promise) as OutputOf<Program[Name]>
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopped) this.#child.kill('SIGKILL')
    if (this.#child.connected) this.#child.disconnect()
    await this.#exited
  }

  #settle(answer: Answer): void {
    const outstanding = this.#outstanding.get(answer.id)
    this.#outstanding.delete(answer.id)
    if (answer.ok) outstanding?.resolve(answer.output)
    else outstanding?.reject(new Error(`${this.#name}: ${answer.error}`))
  }

  #rejectAll(error: Error): void {
    for (const { reject } of this.#outstanding.values()) reject(error)
    this.#outstanding.clear()
  }
}
