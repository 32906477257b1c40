import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Refusal } from './voice.mjs'

/** @typedef {{ cwd: string, env?: NodeJS.ProcessEnv }} Where */

/**
 * Runs a program on our own standard streams and waits for its end.
 *
 * @param {string} file
 * @param {string[]} args
 * @param {Where} where
 * @returns {Promise<number>} its exit code, or 128 + the number of the signal that ended it
 */
export function run(file, args, where) {
  return ended(file, spawn(file, args, { ...where, stdio: 'inherit' }))
}

/**
 * Runs a program and collects what it prints.
 *
 * @param {string} file
 * @param {string[]} args
 * @param {Where} where
 * @returns {Promise<{ code: number, output: string }>}
 */
export async function collect(file, args, where) {
  const child = spawn(file, args, { ...where, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text) => {
      output += text
    })
  }
  return { code: await ended(file, child), output }
}

/**
 * @param {string} file
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<number>}
 */
function ended(file, child) {
  // A terminal sends Ctrl-C to the child as well, so there it only has to be survived: the child
  // decides how it ends, and we report that.
  const onInterrupt = () => {
    if (!process.stdin.isTTY) child.kill('SIGINT')
  }
  const onTerminate = () => child.kill('SIGTERM')
  const onHangUp = () => child.kill('SIGHUP')
  process.on('SIGINT', onInterrupt).on('SIGTERM', onTerminate).on('SIGHUP', onHangUp)
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(new Refusal(`${file} could not be started (${error.message}).`))
    })
    child.once('close', (code, signal) => {
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
    })
  }).finally(() => {
    process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate).off('SIGHUP', onHangUp)
  })
}
