import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { MillraceError } from '../../errors.ts'
import type { SpoolAnswer, SpoolCalls } from './protocol.ts'

/** This side of the thread that waits for the disk. Requests are done in the order of the calls. */
export class SpoolThread {
  readonly #worker: Worker
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #ids = 0
  #ended: Error | undefined

  constructor() {
    this.#worker = new Worker(workerUrl())
    this.#worker.on('message', (answer: SpoolAnswer) => {
      const waiter = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if ('error' in answer)
        waiter?.reject(new MillraceError(answer.error.code, answer.error.message))
      else waiter?.resolve(answer.value)
    })
    this.#worker.on('error', (error) => {
      this.#failAll(error instanceof Error ? error : new Error(String(error)))
    })
    this.#worker.on('exit', () => {
      this.#failAll(new Error('the thread of the spool has ended'))
    })
  }

  call<Name extends keyof SpoolCalls>(
    name: Name,
    ...args: Parameters<SpoolCalls[Name]>
  ): Promise<ReturnType<SpoolCalls[Name]>> {
    if (this.#ended !== undefined) return Promise.reject(failed(this.#ended))
    const waiter = Promise.withResolvers<unknown>()
    const id = ++this.#ids
    this.#waiting.set(id, waiter)
    this.#worker.postMessage({ id, name, args }, [])
    // The thread answers what the name promises.
    return waiter.promise as Promise<ReturnType<SpoolCalls[Name]>>
  }

  /** Lets everything that was asked for happen, closes all files and ends the thread. */
  async end(): Promise<void> {
    if (this.#ended !== undefined) return
    const exited = once(this.#worker, 'exit')
    this.#worker.postMessage('end', [])
    await exited
  }

  #failAll(error: Error): void {
    this.#ended ??= error
    for (const waiter of this.#waiting.values()) waiter.reject(failed(this.#ended))
    this.#waiting.clear()
  }
}

/** Beside this file, as TypeScript in the sources and as JavaScript in what is published. */
function workerUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)
}

function failed(error: Error): MillraceError {
  return new MillraceError('SPOOL_FAILED', `The spool failed: ${error.message}`, { cause: error })
}
