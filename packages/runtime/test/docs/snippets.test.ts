import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RedisServer, startRedis } from '@millrace/testkit'
import { blocksOf, type Page, pages, root } from './pages.ts'
import { exchangesOf, formatReply, wordsOf } from './redis-console.ts'
import { SampleIds } from './sample-ids.ts'

// What pages mark with `run` is run, from top to bottom, on one server for each page. A `text` block
// right below a program is what the program prints.

/** Ignored by git, and not under node_modules, where Node does not strip types. */
const folder = `${root}/packages/runtime/.cache/snippets-${process.pid}`

beforeAll(() => {
  mkdirSync(folder, { recursive: true })
  for (const { file, text } of pages().flatMap(blocksOf)) {
    // What programs of the page import.
    if (file !== undefined) writeFileSync(`${folder}/${file}`, text)
  }
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

const withPrograms = pages().filter((page) => stepsOf(page).length > 0)

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

  test.each(stepsOf(page))('line $line: what it shows is what happens', async (step) => {
    const { shown, actual } =
      step.kind === 'program'
        ? await runProgram(step, page, server.url, ids)
        : await replay(step, client, ids)
    expect(actual).toBe(shown)
  })
})

test('there are programs on the first page and console sessions on the wire format', () => {
  expect(withPrograms.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['README.md', 'docs/wire-format.md']),
  )
})

test('every program passes the type checker', async () => {
  for (const page of withPrograms) {
    for (const step of stepsOf(page)) {
      if (step.kind === 'program') writeProgram(step, page, 'redis://localhost:6379')
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
  // Errors of the sources themselves are what `npm run types` is for.
  const own = output.split('\n').filter((line) => !/^\s*(?:\S*\bsrc\/|\s|$)/.test(line))
  expect({ code: own.length === 0 ? 0 : code, own }).toEqual({ code: 0, own: [] })
})

/** A block that is marked to be run. */
interface Step {
  readonly kind: 'program' | 'session'
  readonly line: number
  readonly text: string
  /** What the page says that it prints, if it does. */
  readonly printed: string | undefined
}

function stepsOf(page: Page): Step[] {
  const blocks = blocksOf(page)
  return blocks.flatMap((block, i): Step[] => {
    if (!block.isRun) return []
    const { line, text, language } = block
    if (language === 'console') return [{ kind: 'session', line, text, printed: undefined }]
    if (language !== 'ts') throw new Error(`${page.path}:${line}: ${language} cannot be run`)
    const next = blocks[i + 1]
    return [
      { kind: 'program', line, text, printed: next?.language === 'text' ? next.text : undefined },
    ]
  })
}

/** What a page shows, with this run's ids, and what happened. */
interface Comparison {
  readonly shown: string
  readonly actual: string
}

async function replay(step: Step, client: Redis, ids: SampleIds): Promise<Comparison> {
  const shown: string[] = []
  const actual: string[] = []
  for (const { command, reply } of exchangesOf(step.text)) {
    const [name = '', ...args] = wordsOf(ids.translate(command))
    const answer = formatReply(await client.call(name.toLowerCase(), ...args))
    shown.push(command, ids.learn(reply, answer))
    actual.push(command, answer)
  }
  return { shown: shown.join('\n'), actual: actual.join('\n') }
}

async function runProgram(
  step: Step,
  page: Page,
  url: string,
  ids: SampleIds,
): Promise<Comparison> {
  const file = writeProgram(step, page, url)
  const { code, output, errors } = await run(process.execPath, [
    '--conditions=millrace-source',
    file,
  ])
  if (code !== 0 || errors !== '') throw new Error(`exit code ${code}: ${errors}`)
  return { shown: ids.learn(step.printed ?? output, output), actual: output }
}

function writeProgram({ text, line }: Step, page: Page, url: string): string {
  const file = `${folder}/${page.path.replaceAll(/\W+/g, '-')}-${line}.ts`
  // A program without imports must still be a module of its own.
  writeFileSync(file, `${text.replaceAll('redis://localhost:6379', url)}\nexport {}\n`)
  return file
}

interface Outcome {
  readonly code: number | null
  readonly output: string
  readonly errors: string
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
  const hung = setTimeout(() => child.kill('SIGKILL'), 50_000)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(hung)
      resolve({ code, output: output.trimEnd(), errors: errors.trimEnd() })
    })
  })
}
