import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

/** What Debian's package `prometheus` brings. */
export type Tool = 'prometheus' | 'promtool'

/** Why the tests that need a tool are skipped; undefined where it is there. */
export function reasonWithout(...tools: readonly Tool[]): string | undefined {
  const missing = tools.filter((tool) => spawnSync(tool, ['--version']).status !== 0)
  if (missing.length === 0) return undefined
  return `${missing.join(' and ')} not on PATH: install Debian's package prometheus`
}

/** Runs promtool; rejects with what it printed when it finds something wrong. */
export async function promtool(args: readonly string[], input = ''): Promise<string> {
  const running = promisify(execFile)('promtool', [...args])
  running.child.stdin?.end(input)
  const { stdout, stderr } = await running
  return stdout + stderr
}
