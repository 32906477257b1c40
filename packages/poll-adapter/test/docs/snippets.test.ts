import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '@millrace/testkit'

// Programs that pages mark with `executed` are run, each on a server of its own; the `text` block below one is
// what it prints.

const root = fileURLToPath(new URL('../../../..', import.meta.url))
const page = readFileSync(`${root}/docs/migrating.md`, 'utf8')
/** Ignored by git, and not under node_modules, where Node does not strip types. */
const folder = `${root}/packages/poll-adapter/.cache/snippets-${process.pid}`

/** Nothing here takes long, but the machine may have other work. */
const HUNG_MS = 90_000

interface Program {
  readonly line: number
  readonly text: string
  readonly printed: string
}

beforeAll(() => {
  mkdirSync(folder, { recursive: true })
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('docs/migrating.md', () => {
  const programs = programsOf(page)

  it('has no program that is not run', () => {
    expect(programs.length).toBe(page.match(/^```(ts|js|typescript|javascript|sh)\b/gm)?.length)
  })

  it.each(programs)(
    'line $line: the program prints what the page says',
    async ({ line, text, printed }) => {
      const server: RedisServer = await startRedis()
      try {
        const file = `${folder}/program-${line}.ts`
        writeFileSync(file, text.replaceAll('redis://localhost:6379', server.url))
        expect(await outputOf(file)).toBe(printed)
      } finally {
        await server[Symbol.asyncDispose]()
      }
    },
    2 * HUNG_MS,
  )
})

describe('The programs of the pages', () => {
  it(
    'pass the type checker',
    async () => {
      for (const { line, text } of programsOf(page))
        writeFileSync(`${folder}/typed-${line}.ts`, text)
      writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(typeSettings()))
      const { code, output } = await run(`${root}/node_modules/.bin/tsc`, ['-p', folder])
      expect({ code, output }).toEqual({ code: 0, output: '' })
    },
    HUNG_MS,
  )
})

function programsOf(text: string): Program[] {
  const programs: Program[] = []
  for (const match of text.matchAll(
    /^```ts executed\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```)?/gm,
  )) {
    const [, program = '', printed = ''] = match
    const line = text.slice(0, match.index).split('\n').length
    programs.push({ line, text: program, printed })
  }
  return programs
}

async function outputOf(file: string): Promise<string> {
  const { code, output, errors } = await run(process.execPath, [
    '--conditions=millrace-source',
    file,
  ])
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  return output
}

async function run(
  file: string,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly output: string; readonly errors: string }> {
  // The marks that vitest leaves in the environment change what Node prints.
  const env = { PATH: process.env['PATH'] }
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const hung = setTimeout(() => child.kill('SIGKILL'), HUNG_MS)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(hung)
  return { code, output, errors }
}

function typeSettings(): object {
  return {
    extends: `${root}/tsconfig.base.json`,
    compilerOptions: {
      composite: false,
      incremental: false,
      noEmit: true,
      declaration: false,
      declarationMap: false,
      isolatedDeclarations: false,
      rewriteRelativeImportExtensions: false,
      allowImportingTsExtensions: true,
      typeRoots: [`${root}/node_modules/@types`],
    },
    include: ['typed-*.ts'],
  }
}
