import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { defaultServerConditions } from 'vite'
import { defineConfig } from 'vitest/config'
import { ClosingLine } from './tools/vitest/closing-line.ts'

// Packages are tested from their sources; vitest hands the condition on to its worker processes too.
const sourceCondition = 'millrace-source'

// Node itself does not know `module`, which leads to files that only bundlers can read.
const conditions = [sourceCondition, ...defaultServerConditions.filter((name) => name !== 'module')]

// `npm test` is for every change at one's desk, and takes some minutes. What kills processes for minutes, or
// waits for real outages, is in files called `*.long.test.ts`: `npm run test:long`, and in CI.
const long = process.env['MILLRACE_TESTS'] === 'long'

// How often a test that failed may try again. None at one's desk; CI grants one, and the closing lines name
// whatever needed it.
const retry = Number(process.env['MILLRACE_TEST_RETRIES'] ?? 0)

const folders = ['packages', 'apps']
  .flatMap((parent) => readdirSync(parent).map((name) => `${parent}/${name}`))
  .concat('benchmarks')
  .filter((folder) => existsSync(`${folder}/test`))

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // Real servers are started and stopped, so a test may take a while, but must not hang.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Tests mostly wait for servers: three files at a time, even on a machine with two cores.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    pool: 'forks',
    retry,
    reporters: ['default', new ClosingLine()],
    projects: folders.map((folder) => ({
      extends: true,
      root: folder,
      test: {
        name: folder.replace(/^.*\//, ''),
        include: [long ? 'test/**/*.long.test.ts' : 'test/**/*.test.ts'],
        exclude: long ? [] : ['**/*.long.test.ts'],
      },
    })),
  },
})
