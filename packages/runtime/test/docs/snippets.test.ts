import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RedisServer, startRedis } from '@millrace/testkit'
import { type Block, blocksOf, type Page, pages, root } from './pages.ts'
import { exchangesOf, formatReply, wordsOf } from './redis-console.ts'
import { SampleIds } from './sample-ids.ts'

// What pages mark with `run` is run, from top to bottom, on one server for each page. A `text` block
// right below a program is what the program prints.

/** Ignored by git, and not under node_modules, where Node does not strip types. */
const folder = `${root}/packages/runtime/.cache/snippets-${process.pid}`

beforeAll(() => {
  mkdirSync(folder, { recursive: true })
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

const withPrograms = pages().filter((page) => blocksOf(page).some(({ run }) => run))

describe.each(withPrograms)('$path', (page) => {
  let server: RedisServer
  let client: Redis
  const ids = new SampleIds()

  beforeAll(async () => {
    server = await startRedis()
    client = new Redis(server.url, { protocol: 2 })
  })
  afterAll(async () => {
    client.disconnect()
    await server[Symbol.asyncDispose]()
  })

  for (const { block, printed } of runnable(page)) {
    test(`line ${block.line}: what it shows is what happens`, async () => {
      if (block.language === 'ts') {
        const outcome = await runProgram(block, server.url, page)
        expect(outcome, outcome.errors).toMatchObject({ code: 0, errors: '' })
        if (printed === undefined) return
        expect(outcome.output).toBe(ids.learn(printed, outcome.output))
        return
      }
      for (const { command, reply } of exchangesOf(block.text)) {
        const [name = '', ...args] = wordsOf(ids.translate(command))
        const actual = formatReply(await client.call(name.toLowerCase(), ...args))
        expect(actual, command).toBe(ids.learn(reply, actual))
      }
    })
  }
})

test('there are programs on the first page and console sessions on the wire format', () => {
  expect(withPrograms.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['README.md', 'docs/wire-format.md']),
  )
})

test('every block that is marked to run is of a kind that can be', () => {
  const kinds = withPrograms
    .flatMap(blocksOf)
    .flatMap(({ run, language }) => (run ? [language] : []))
  expect([...new Set(kinds)].toSorted()).toEqual(['console', 'ts'])
})

test('every program passes the type checker', async () => {
  for (const page of withPrograms) {
    for (const block of blocksOf(page)) {
      if (block.run && block.language === 'ts') writeProgram(block, 'redis://localhost:6379', page)
    }
  }
  const settings = {
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
    include: ['*.ts'],
  }
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(settings))
  const { code, output } = await run(`${root}/node_modules/.bin/tsc`, ['-p', folder])
  expect(output).toBe('')
  expect(code).toBe(0)
})

interface Runnable {
  readonly block: Block
  readonly printed: string | undefined
}

function runnable(page: Page): Runnable[] {
  const blocks = blocksOf(page)
  return blocks.flatMap((block, i) => {
    if (!block.run) return []
    const next = blocks[i + 1]
    return [{ block, printed: next?.language === 'text' ? next.text : undefined }]
  })
}

interface Outcome {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

function writeProgram({ text, line }: Block, url: string, page: Page): string {
  const file = `${folder}/${page.path.replaceAll(/\W+/g, '-')}-${line}.ts`
  // A page whose program has no imports must still be a module of its own.
  writeFileSync(file, `${text.replaceAll('redis://localhost:6379', url)}\nexport {}\n`)
  return file
}

function runProgram(block: Block, url: string, page: Page): Promise<Outcome> {
  return run(process.execPath, ['--conditions=millrace-source', writeProgram(block, url, page)])
}

/** Runs to the end, with what was printed. */
function run(file: string, args: readonly string[]): Promise<Outcome> {
  // The marks that vitest leaves in the environment change what Node prints.
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const hung = setTimeout(() => child.kill('SIGKILL'), 25_000)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(hung)
      resolve({ code, output: output.trimEnd(), errors: errors.trimEnd() })
    })
  })
}
