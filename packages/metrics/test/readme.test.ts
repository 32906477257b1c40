import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@millrace/testkit'
import { expect, test } from 'vitest'

const packageRoot = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(`${packageRoot}README.md`, 'utf8')
const program = /^```ts\n([\s\S]*?)^```$/m.exec(readme)?.[1] ?? ''
const printed = /^```text\n([\s\S]*?)^```$/m.exec(readme)?.[1] ?? ''

test('the program of the README prints what it says', async () => {
  await using server = await startRedis()
  // Inside of the package, so that its imports are found.
  const folder = `${packageRoot}.cache/readme-${process.pid}`
  mkdirSync(folder, { recursive: true })
  try {
    const file = `${folder}/program.ts`
    writeFileSync(file, program.replace('redis://localhost:6379', server.url))
    const child = spawn(process.execPath, ['--conditions=millrace-source', file])
    const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
    expect({ output, errors }).toEqual({ output: printed, errors: '' })
    expect(printed).not.toBe('')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
