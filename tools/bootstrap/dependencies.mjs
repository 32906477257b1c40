import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from '../child.mjs'
import { Refusal, say } from '../voice.mjs'

const oldestNode = 24

/**
 * The folder of the Node to use, if the dependencies were installed for the manifests and the lock
 * file as they are now.
 *
 * @param {string} root
 * @returns {string | undefined}
 */
export function findInstalled(root) {
  const stamp = readStamp(root)
  if (stamp?.digest !== digest(root)) return undefined
  return existsSync(join(stamp.nodeDirectory, 'node')) ? stamp.nodeDirectory : undefined
}

/**
 * @param {string} root
 * @param {string} pnpm
 * @returns {Promise<string>} the folder of the Node to use
 */
export async function install(root, pnpm) {
  say('installing dependencies')
  const code = await run(pnpm, ['install', '--frozen-lockfile'], { cwd: root })
  if (code >= 128) throw new Refusal('the installation was interrupted.')
  if (code !== 0) {
    throw new Refusal(
      'pnpm could not install the dependencies; if you changed a package.json, run "npm run pnpm -- install" to bring pnpm-lock.yaml up to date.',
    )
  }
  const nodeDirectory = chooseNode(root)
  writeFileSync(stampPath(root), JSON.stringify({ digest: digest(root), nodeDirectory }))
  return nodeDirectory
}

/**
 * The repository's own Node comes as a package for the platforms that have one; elsewhere the
 * host's Node serves if it is new enough.
 *
 * @param {string} root
 */
function chooseNode(root) {
  const bin = join(root, 'node_modules', '.bin')
  const own = join(bin, 'node')
  if (existsSync(own)) {
    if (spawnSync(own, ['--version']).status === 0) return bin
    // It was built for another C library. npm puts this folder first in PATH, so it has to go.
    rmSync(own)
  }
  if (Number.parseInt(process.versions.node, 10) >= oldestNode) return dirname(process.execPath)
  throw new Refusal(
    `there is no Node package for ${process.platform}-${process.arch} that starts here; install Node ${oldestNode} or newer and run the command again.`,
  )
}

/** @param {string} root */
function stampPath(root) {
  // Beside the dependencies, so that deleting them deletes the stamp.
  return join(root, 'node_modules', '.millrace-install.json')
}

/**
 * @param {string} root
 * @returns {{ digest: string, nodeDirectory: string } | undefined}
 */
function readStamp(root) {
  try {
    return JSON.parse(readFileSync(stampPath(root), 'utf8'))
  } catch {
    return undefined
  }
}

/** @param {string} root */
function digest(root) {
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}`)
  for (const path of installInputs(root)) {
    if (existsSync(path)) hash.update(path).update(readFileSync(path))
  }
  return hash.digest('hex')
}

/** @param {string} root */
function installInputs(root) {
  const folders = [
    '.',
    'benchmarks',
    ...['packages', 'apps'].flatMap((parent) =>
      readdirSync(join(root, parent)).map((name) => join(parent, name)),
    ),
  ]
  return [
    ...['pnpm-lock.yaml', 'pnpm-workspace.yaml'].map((name) => join(root, name)),
    ...folders.map((folder) => join(root, folder, 'package.json')),
  ]
}
