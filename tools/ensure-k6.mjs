// Puts k6 into .cache/k6 where it is not on PATH and Go is there to build it; says so where it is not.
// k6 has no package in npm or Debian. A module of our own is built instead of `go install`, which would
// also ask the module's home page whether the version is deprecated.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { collect } from './child.mjs'
import { say, saying } from './voice.mjs'

const version = 'v2.2.0'
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
  if (!(await build())) say('k6 could not be built: install k6 v2 so that it is on PATH.')
}

/** @returns {Promise<boolean>} whether it is there now */
async function build() {
  const module = join(folder, version)
  await mkdir(module, { recursive: true })
  await writeFile(
    join(module, 'go.mod'),
    `module k6build\n\ngo ${oldestGo.join('.')}\n\nrequire go.k6.io/k6/v2 ${version}\n`,
  )
  const built = join(module, 'k6')
  // What k6 itself needs is written into go.mod and go.sum while it is built.
  const args = ['build', '-mod=mod', '-buildvcs=false', '-o', built, 'go.k6.io/k6/v2']
  const { code, output } = await saying(
    `building k6 ${version} with Go, which takes a few minutes the first time`,
    () => collect('go', args, { cwd: module }),
  )
  if (code !== 0) {
    say(`go build ended with exit code ${code}, and said:\n${withoutHosts(output)}`)
    return false
  }
  await rename(built, join(folder, 'k6'))
  return true
}

/**
 * Where modules are fetched from is the machine's business, and no log's.
 *
 * @param {string} output
 */
function withoutHosts(output) {
  return output.trim().replaceAll(/https?:\/\/[^/\s"]+/g, '…')
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
