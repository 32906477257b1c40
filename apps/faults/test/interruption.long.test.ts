import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { waitFor } from '@millrace/testkit'
import { expect, test } from 'vitest'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

/** The processes that this one has started, and those that they have, while they are alive. */
function descendantsOf(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(name)
    if (parent === undefined) continue
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [Number(name)])
    else siblings.push(Number(name))
  }
  const found = [...(children.get(pid) ?? [])]
  // Grows while it is gone through.
  for (const one of found) found.push(...(children.get(one) ?? []))
  return found
}

function parentOf(pid: string): number | undefined {
  try {
    // The name in brackets may have blanks.
    return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1])
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

const aboutProcesses = process.platform === 'linux' ? test : test.skip

aboutProcesses.for([
  ['the first signal ends the suite after clearing up', 1],
  ['a second signal ends it at once, with those that stand still', 2],
] as const)('%s', { timeout: 60_000 }, async ([, signals]) => {
  // In this fault two processes stand still for seconds.
  const suite = spawn(
    process.execPath,
    ['--conditions=millrace-source', main, '--only', 'holder-stopped'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const exited = once(suite, 'exit')
  suite.stdout.resume()
  const pid = suite.pid ?? Number.NaN
  const isStopped = (one: number): boolean => {
    try {
      return / T /.test(readFileSync(`/proc/${one}/stat`, 'utf8'))
    } catch {
      return false
    }
  }
  await waitFor(() => descendantsOf(pid).some(isStopped), {
    describe: 'somebody to stand still',
    timeoutMs: 40_000,
  })
  const all = descendantsOf(pid)
  expect(all.length).toBeGreaterThan(10)
  suite.kill('SIGINT')
  if (signals === 2) {
    const sinceMs = performance.now()
    // Nearer together they would count as one.
    await waitFor(() => performance.now() - sinceMs > 320, { describe: 'another moment' })
    suite.kill('SIGINT')
  }
  expect(await exited).toEqual([130, null])
  await waitFor(() => !all.some(isAlive), { describe: 'all to have ended' })
})
