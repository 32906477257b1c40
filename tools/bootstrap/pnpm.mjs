import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { collect } from '../child.mjs'
import { Refusal, saying } from '../voice.mjs'

/**
 * The pnpm that the repository uses, if it was fetched before.
 *
 * @param {string} root
 * @returns {string | undefined} the path of its executable
 */
export function findPnpm(root) {
  return findExecutable(home(root))
}

/**
 * Fetches pnpm with npm into a folder of the repository, so that no other installation on the
 * machine is touched or relied on.
 *
 * @param {string} root
 * @returns {Promise<string>} the path of its executable
 */
export async function bringPnpm(root) {
  const version = wantedVersion(root)
  const target = home(root)
  const partial = `${target}.${process.pid}.partial`
  mkdirSync(partial, { recursive: true })
  try {
    // pnpm's install script only moves the executable of the platform's package to where a shell
    // finds it. We start that executable directly, so no install script has to be allowed.
    const { code, output } = await saying(`fetching pnpm ${version} (once)`, () =>
      collect(
        'npm',
        [
          'install',
          `pnpm@${version}`,
          `--prefix=${partial}`,
          '--no-save',
          '--no-package-lock',
          '--no-audit',
          '--no-fund',
          '--ignore-scripts',
          '--include=optional',
          '--loglevel=error',
        ],
        { cwd: partial },
      ),
    )
    if (code !== 0) {
      throw new Refusal(
        `npm could not fetch pnpm ${version}; is the package registry reachable? npm said:\n${output.trim()}`,
      )
    }
    if (findExecutable(partial) === undefined) {
      throw new Refusal(
        `pnpm ${version} has no executable for ${process.platform}-${process.arch}; use Linux or macOS on x64 or arm64.`,
      )
    }
    rmSync(target, { recursive: true, force: true })
    renameSync(partial, target)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  const executable = findExecutable(target)
  if (executable === undefined) throw new Refusal(`pnpm vanished from ${target}; try again.`)
  return executable
}

/** @param {string} root */
function home(root) {
  return join(root, '.cache', 'pnpm', wantedVersion(root))
}

/**
 * The version stands once, in package.json's `packageManager`.
 *
 * @param {string} root
 */
function wantedVersion(root) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return manifest.packageManager.replace('pnpm@', '')
}

/** @param {string} folder */
function findExecutable(folder) {
  const scope = join(folder, 'node_modules', '@pnpm')
  if (!existsSync(scope)) return undefined
  return readdirSync(scope)
    .filter((name) => name.startsWith('exe.'))
    .map((name) => join(scope, name, 'pnpm'))
    .find((path) => existsSync(path))
}
