import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { waitFor } from '../../src/index.ts'
import { isRunning } from '../processes.ts'

const program = new URL('../programs/start-servers.ts', import.meta.url).pathname
let child: ChildProcess | undefined

afterEach(() => {
  child?.kill('SIGKILL')
})

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'servers and their folders go when their owner ends by %s',
  async (signal) => {
    child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (!child.stdout) throw new Error('the program has no output')
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    const { pids, dirs } = JSON.parse(line) as {
      readonly pids: readonly number[]
      readonly dirs: readonly string[]
    }
    expect(pids.map(isRunning)).toEqual([true, true, true])
    expect(dirs.map(existsSync)).toEqual([true, true])

    child.kill(signal)
    await waitFor(() => !pids.some(isRunning), {
      describe: `the servers ${pids.join(', ')} to end`,
    })
    await waitFor(() => !dirs.some(existsSync), {
      describe: `the folders ${dirs.join(', ')} to go`,
    })
  },
)
