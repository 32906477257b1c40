import { spawn } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'

/** What an installation tells while it works, and what ends it. */
export interface InstallOptions {
  readonly log: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Maintainer scripts ask this program before they start a service, and 101 is its word for "do not":
 * a package installed for its program must not bring up a server of its own.
 */
const POLICY_FILE = '/usr/sbin/policy-rc.d'
const REFUSE_SERVICES =
  '#!/bin/sh\n# Put here while a package is being installed for its programs only; removed right after.\nexit 101\n'
const TELLING = /^(?:Get:|Fetched|Unpacking|Setting up)/

/** Whether the system's package manager can be used without a question: apt, and we are root. */
export async function canInstallPackages(): Promise<boolean> {
  return (
    process.getuid?.() === 0 && (await run('apt-get', ['--version'], () => {}, undefined)) === 0
  )
}

/** Installs Debian or Ubuntu packages without questions and without starting services. */
export async function installPackages(
  names: readonly string[],
  options: InstallOptions,
): Promise<void> {
  const { log, signal } = options
  const tell = (line: string): void => {
    if (TELLING.test(line)) log(`  ${line}`)
  }
  const refusing = await refuseServices()
  try {
    log('updating the package lists (apt-get update)')
    await mustRun(['update'], tell, signal)
    log(`installing ${names.join(' ')} (apt-get install)`)
    await mustRun(['install', '-y', '--no-install-recommends', ...names], tell, signal)
  } finally {
    if (refusing) await rm(POLICY_FILE, { force: true })
  }
}

async function mustRun(
  args: readonly string[],
  tell: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const last: string[] = []
  const code = await run(
    'apt-get',
    ['-o', 'DPkg::Lock::Timeout=300', ...args],
    (line) => {
      tell(line)
      last.push(line)
      if (last.length > 10) last.shift()
    },
    signal,
  )
  signal?.throwIfAborted()
  if (code !== 0)
    throw new Error(
      `apt-get ${args.join(' ')} failed (exit code ${code ?? 'unknown'}):\n${last.join('\n')}`,
    )
}

/** Answers whether the file is ours to remove; one that is there already is the owner's choice and stays. */
async function refuseServices(): Promise<boolean> {
  try {
    await writeFile(POLICY_FILE, REFUSE_SERVICES, { mode: 0o755, flag: 'wx' })
    return true
  } catch {
    return false
  }
}

function run(
  command: string,
  args: readonly string[],
  see: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<number | null> {
  const { promise, resolve } = Promise.withResolvers<number | null>()
  const child = spawn('env', ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal ? { signal } : {}),
  })
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', see)
  child.once('error', () => resolve(null))
  child.once('close', (code) => resolve(code))
  return promise
}
