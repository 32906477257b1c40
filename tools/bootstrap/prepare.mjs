import { delimiter, dirname, join } from 'node:path'
import { findInstalled, install } from './dependencies.mjs'
import { withLock } from './lock.mjs'
import { bringPnpm, findPnpm } from './pnpm.mjs'
import { Refusal } from '../voice.mjs'

/** @typedef {{ pnpm: string, nodeDirectory: string }} Ready */

/**
 * Brings what the commands need (pnpm, the dependencies, a current Node) and answers the
 * environment to run them in. Costs a few milliseconds when everything is there already.
 *
 * @param {string} root
 * @returns {Promise<NodeJS.ProcessEnv>}
 */
export async function prepare(root) {
  refuseWindows()
  const { pnpm, nodeDirectory } =
    findReady(root) ?? (await locked(root, async () => findReady(root) ?? setUp(root)))
  return environment([nodeDirectory, join(root, 'node_modules', '.bin'), dirname(pnpm)])
}

/**
 * Brings pnpm alone, for the command that puts the dependencies right when they cannot be installed.
 *
 * @param {string} root
 * @returns {Promise<NodeJS.ProcessEnv>}
 */
export async function prepareForPnpm(root) {
  refuseWindows()
  const pnpm = findPnpm(root) ?? (await locked(root, async () => findPnpm(root) ?? bringPnpm(root)))
  return environment([dirname(pnpm)])
}

/** @param {string[]} folders to look into first */
function environment(folders) {
  return {
    ...process.env,
    PATH: [...folders, process.env['PATH'] ?? ''].join(delimiter),
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
  }
}

/**
 * @template T
 * @param {string} root
 * @param {() => Promise<T>} work
 */
function locked(root, work) {
  return withLock(join(root, '.cache', 'setup.lock'), work)
}

function refuseWindows() {
  if (process.platform !== 'win32') return
  throw new Refusal('Redis does not run on Windows itself; clone and run this inside WSL.')
}

/**
 * @param {string} root
 * @returns {Ready | undefined}
 */
function findReady(root) {
  const pnpm = findPnpm(root)
  const nodeDirectory = findInstalled(root)
  return pnpm === undefined || nodeDirectory === undefined ? undefined : { pnpm, nodeDirectory }
}

/**
 * @param {string} root
 * @returns {Promise<Ready>}
 */
async function setUp(root) {
  const pnpm = findPnpm(root) ?? (await bringPnpm(root))
  return { pnpm, nodeDirectory: findInstalled(root) ?? (await install(root, pnpm)) }
}
