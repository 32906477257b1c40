import { existsSync } from 'node:fs'

/**
 * @typedef {object} Step
 * @property {string} name what failed, if it fails
 * @property {string} file
 * @property {string[]} args
 * @property {Readonly<Record<string, string>>} [env] besides what all steps get
 * @property {string} [say] one line before a step that would start in silence
 */

/**
 * What each command does, as programs to run one after the other; the first that fails ends it.
 *
 * @type {Readonly<Record<string, (args: string[]) => Step[]>>}
 */
export const commands = {
  demo: (args) => [program('the demo', 'apps/demo/src/main.ts', args)],
  bench: (args) => [program('the benchmark', 'benchmarks/src/main.ts', args)],
  'bench:report': (args) => [program('the report', 'benchmarks/src/report/main.ts', args)],
  'bench:k6': (args) => [
    script('the search for k6', 'tools/ensure-k6.mjs'),
    program('the k6 benchmark', 'benchmarks/src/k6/main.ts', args),
  ],
  faults: (args) => [...redis(), program('the fault suite', 'apps/faults/src/main.ts', args)],
  test: (args) => [...redis(), tool('vitest', 'run', ...args)],
  'test:long': (args) => [
    ...redis(),
    { ...tool('vitest', 'run', ...args), env: { MILLRACE_TESTS: 'long' } },
  ],
  lint: (args) => [tool('oxlint', '--deny-warnings', ...args)],
  format: (args) => [tool('biome', 'format', '--write', ...args)],
  'format:check': (args) => [tool('biome', 'format', ...args)],
  types: (args) => [tool('tsc', '--build', '--pretty', ...args)],
  build: (args) => [tool('turbo', 'run', 'build', ...args)],
  check: () => [
    { ...tool('turbo', 'boundaries'), say: 'checking the imports between packages' },
    { ...tool('turbo', 'run', 'build'), say: 'building the packages' },
    {
      ...script('the check of the packed packages', 'tools/checks/packed-packages.mjs'),
      say: 'checking the packages as they would be published',
    },
    script('the check of the lock file', 'tools/checks/lock-file.mjs'),
    {
      ...tool('knip', '--production', '--strict', '--include', 'unlisted'),
      say: 'checking that packages import only what they bring along',
    },
    { ...tool('knip'), say: 'looking for unused files, exports and dependencies' },
  ],
  pnpm: (args) => [tool('pnpm', ...args)],
}

/**
 * A program of the workspace, run from its sources.
 *
 * @param {string} name
 * @param {string} path
 * @param {string[]} args
 * @returns {Step}
 */
function program(name, path, args) {
  return { name, file: 'node', args: ['--conditions=millrace-source', path, ...args] }
}

/**
 * @param {string} name
 * @param {string} path
 * @returns {Step}
 */
function script(name, path) {
  return { name, file: 'node', args: [path] }
}

/**
 * @param {string} file
 * @param {string[]} args
 * @returns {Step}
 */
function tool(file, ...args) {
  return { name: file, file, args }
}

/** Puts a Redis server on the machine before the tests start, where that is possible. */
function redis() {
  const path = 'packages/testkit/src/ensure-redis.ts'
  return existsSync(path) ? [program('the search for a Redis server', path, [])] : []
}
