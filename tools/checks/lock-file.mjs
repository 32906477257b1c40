// The lock file must install from whichever registry the machine is set to, so it names no host.

import { readFileSync } from 'node:fs'

const address = /https?:\/\/|\btarball:/
const offending = readFileSync('pnpm-lock.yaml', 'utf8')
  .split('\n')
  .flatMap((line, index) =>
    address.test(line) ? [`pnpm-lock.yaml:${index + 1}: ${line.trim()}`] : [],
  )

if (offending.length > 0) {
  console.error(`The lock file names where packages were fetched from:\n${offending.join('\n')}`)
  process.exitCode = 1
} else {
  console.log('The lock file names no host.')
}
