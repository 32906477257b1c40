import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface RunTask {
  readonly names: readonly string[]
  readonly quick: boolean
  /** Where the results go to. */
  readonly directory: string
}

export interface Ran {
  /** They have a result, and a criterion failed. */
  readonly failed: readonly string[]
  /** They came to no end, so that the result from before, if any, stays. */
  readonly unfinished: readonly string[]
}

const benchmarkProgram = fileURLToPath(new URL('../main.ts', import.meta.url))
const k6Program = fileURLToPath(new URL('../k6/main.ts', import.meta.url))

/** Runs them one after the other, each as its own command does; one that comes to no end holds up none. */
export async function runBenchmarks({ names, quick, directory }: RunTask): Promise<Ran> {
  const failed: string[] = []
  const unfinished: string[] = []
  if (names.length === 0) return { failed, unfinished }
  await mkdir(directory, { recursive: true })
  const drafts = await mkdtemp(join(tmpdir(), 'millrace-results-'))
  try {
    for (const [done, name] of names.entries()) {
      console.error(`\n${done + 1}/${names.length} ${name}`)
      const draft = join(drafts, `${name}.json`)
      const program = name === 'k6' ? [k6Program] : [benchmarkProgram, name]
      const code = await run([...program, '--json', draft, ...(quick ? ['--quick'] : [])])
      // The same exit code has a criterion that failed and a benchmark that threw; the file tells them apart.
      if (!(await hasContent(draft))) unfinished.push(name)
      else {
        if (code !== 0) failed.push(name)
        await copyFile(draft, join(directory, `${name}.json`))
      }
    }
  } finally {
    await rm(drafts, { recursive: true, force: true })
  }
  return { failed, unfinished }
}

/**
 * An interruption from the keyboard reaches the benchmark as well, and it cleans up after itself.
 *
 * @throws when it was interrupted: who does that does not want the next one either
 */
async function run(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    stdio: ['ignore', 2, 2],
  })
  let interrupted = false
  const interrupt = (signal: NodeJS.Signals): void => {
    interrupted = true
    child.kill(signal)
  }
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  try {
    const [code] = (await once(child, 'exit')) as [number | null]
    if (interrupted) throw new Error('interrupted')
    return code ?? -1
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}

async function hasContent(path: string): Promise<boolean> {
  try {
    return (await readFile(path, 'utf8')) !== ''
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
