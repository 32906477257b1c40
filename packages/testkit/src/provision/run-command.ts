import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** How {@link runCommand} runs a program. */
export interface RunCommandOptions {
  /** Sees every line of output, of both kinds. */
  readonly see?: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

const KEPT_LINES = 10

/** Runs a program to its end; rejects with its last lines when it fails. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: RunCommandOptions = {},
): Promise<void> {
  const { see = () => {}, signal } = options
  const last: string[] = []
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal ? { signal } : {}),
  })
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      see(line)
      last.push(line)
      if (last.length > KEPT_LINES) last.shift()
    })
  }
  const [code, endedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  if (code !== 0) {
    const ending = endedBy ? `ended by ${endedBy}` : `failed with exit code ${code}`
    throw new Error(`${[command, ...args].join(' ')} ${ending}:\n${last.join('\n')}`)
  }
}

/** What a program prints, or `undefined` when it cannot be run or fails. */
export async function outputOf(
  command: string,
  args: readonly string[],
): Promise<string | undefined> {
  const lines: string[] = []
  try {
    await runCommand(command, args, { see: (line) => lines.push(line) })
    return lines.join('\n')
  } catch {
    return undefined
  }
}
