import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface RunTask {
  readonly names: readonly string[]
  readonly quick: boolean
  /** Where the results go to. */
  readonly directory: string
}

const program = fileURLToPath(new URL('../main.ts', import.meta.url))
/** What a benchmark exits with when it has a result and a criterion failed. */
const CRITERION_FAILED = 1

/**
 * Runs them one after the other, each as `npm run bench` does. A result takes the place of the one before only
 * when it is complete.
 *
 * @returns those that did not meet all their criteria
 */
export async function runBenchmarks({ names, quick, directory }: RunTask): Promise<string[]> {
  const failed: string[] = []
  await mkdir(directory, { recursive: true })
  const drafts = await mkdtemp(join(tmpdir(), 'millrace-results-'))
  try {
    for (const [done, name] of names.entries()) {
      console.error(`\n${done + 1}/${names.length} ${name}`)
      const draft = join(drafts, `${name}.json`)
      const code = await run([name, '--json', draft, ...(quick ? ['--quick'] : [])])
      if (code !== 0 && code !== CRITERION_FAILED)
        throw new Error(`${name} ended with exit code ${code}`)
      if (code === CRITERION_FAILED) failed.push(name)
      await copyFile(draft, join(directory, `${name}.json`))
    }
  } finally {
    await rm(drafts, { recursive: true, force: true })
  }
  return failed
}

/** An interruption from the keyboard reaches the benchmark, too, and it cleans up after itself. */
async function run(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
    stdio: ['ignore', 2, 2],
  })
  const interrupt = (signal: NodeJS.Signals): void => {
    child.kill(signal)
  }
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  try {
    const [code] = (await once(child, 'exit')) as [number | null]
    return code ?? -1
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}
