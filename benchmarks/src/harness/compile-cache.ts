import { startProgram } from './program-process.ts'
import { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts'

/**
 * Keeps compiled code from one start of a program to the next, as if it came from a build: a process that
 * finds all of its code there starts faster and holds no compiler for TypeScript.
 */
export class CompileCache implements AsyncDisposable {
  readonly #folder: TemporaryFolder
  readonly #warm = new Map<string, Promise<void>>()

  private constructor(folder: TemporaryFolder) {
    this.#folder = folder
  }

  static async open(): Promise<CompileCache> {
    return new CompileCache(await temporaryFolder('compiled'))
  }

  get directory(): string {
    return this.#folder.path
  }

  /** Resolves when all code that the program loads in the beginning is there. */
  async warm(file: URL): Promise<void> {
    let warming = this.#warm.get(file.href)
    if (warming === undefined) {
      warming = this.#load(file)
      this.#warm.set(file.href, warming)
    }
    await warming
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]()
  }

  /** A process writes what it has compiled when it ends. */
  async #load(file: URL): Promise<void> {
    await using program = startProgram(file, { compileCache: this.directory })
    // It knows no such thing, and says so once it is loaded.
    await program.ask('load', null as never).catch(() => undefined)
  }
}
