// Puts k6 into .cache/k6 where it is not on PATH and Go is there to build it; says so where it is not.
// k6 has no package in npm or Debian. A module of our own is built instead of `go install`, which would
// also ask the module's home page whether the version is deprecated.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { run } from './child.mjs'
import { say } from './voice.mjs'

/** The first that the Go module proxy has is taken. */
const versions = ['v2.3.0', 'v2.2.0']
const oldestGo = [1, 26]

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, '.cache', 'k6')
const outputOf = promisify(execFile)

await main()

/** @returns {Promise<void>} */
async function main() {
  if (existsSync(join(folder, 'k6')) || (await firstMatch('k6', ['version'], /^k6\S* v[2-9]/)))
    return
  const go = await firstMatch('go', ['env', 'GOVERSION'], /^go(\d+)\.(\d+)/)
  if (go === undefined) {
    say(
      'k6 is not here, and neither is Go, which could build it: install k6 v2 so that it is on PATH.',
    )
    return
  }
  const [major = 0, minor = 0] = oldestGo
  if (Number(go[1]) < major || (Number(go[1]) === major && Number(go[2]) < minor)) {
    say(`k6 is not here, and ${go[0]} is too old to build it: ${major}.${minor} is needed.`)
    return
  }
  for (const version of versions) if (await build(version)) return
  say(`k6 could not be built: install k6 v2 so that it is on PATH.`)
}

/**
 * @param {string} version
 * @returns {Promise<boolean>} whether it is there now
 */
async function build(version) {
  const module = join(folder, version)
  await mkdir(module, { recursive: true })
  await writeFile(
    join(module, 'go.mod'),
    `module k6build\n\ngo ${oldestGo.join('.')}\n\nrequire go.k6.io/k6/v2 ${version}\n`,
  )
  // Keeps the requirement through `go mod tidy`.
  await writeFile(
    join(module, 'k6.go'),
    '//go:build tools\n\npackage k6build\n\nimport _ "go.k6.io/k6/v2"\n',
  )
  say(`building k6 ${version} with Go, which takes a few minutes the first time`)
  const options = { cwd: module, env: { ...process.env, GOFLAGS: '-buildvcs=false' } }
  const isThere = await outputOf(
    'go',
    ['mod', 'download', `go.k6.io/k6/v2@${version}`],
    options,
  ).then(
    () => true,
    () => false,
  )
  if (!isThere) {
    say(`the Go module proxy does not have k6 ${version}`)
    return false
  }
  // Says by its exit code that some package of a test is missing, which is none of our business.
  await run('go', ['mod', 'tidy', '-e'], options)
  const built = join(module, 'k6')
  if ((await run('go', ['build', '-o', built, 'go.k6.io/k6/v2'], options)) !== 0) return false
  await rename(built, join(folder, 'k6'))
  return true
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {RegExp} pattern
 * @returns {Promise<RegExpExecArray | undefined>}
 */
async function firstMatch(command, args, pattern) {
  try {
    return pattern.exec((await outputOf(command, args)).stdout) ?? undefined
  } catch {
    return undefined
  }
}
