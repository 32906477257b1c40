import { rm, writeFile } from 'node:fs/promises'
import { outputOf, runCommand } from './run-command.ts'

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
const REFUSE_SERVICES = `#!/bin/sh
# Put here while a package is being installed for its programs only; removed right after.
exit 101
`
const PROGRESS = /^(?:Get:|Fetched|Unpacking|Setting up)/

/** Whether the system's package manager can be used without a question: apt, and we are root. */
export async function canInstallPackages(): Promise<boolean> {
  return process.getuid?.() === 0 && (await outputOf('apt-get', ['--version'])) !== undefined
}

/** Installs Debian or Ubuntu packages without questions and without starting services. */
export async function installPackages(
  names: readonly string[],
  options: InstallOptions,
): Promise<void> {
  await updatePackageLists(options)
  const refusing = await refuseServices()
  try {
    options.log(`installing ${names.join(' ')} (apt-get install)`)
    await apt(['install', '-y', '--no-install-recommends', ...names], options)
  } finally {
    if (refusing) await rm(POLICY_FILE, { force: true })
  }
}

/** Brings apt's knowledge of packages up to date. */
export async function updatePackageLists(options: InstallOptions): Promise<void> {
  options.log('updating the package lists (apt-get update)')
  await apt(['update'], options)
}

function apt(args: readonly string[], options: InstallOptions): Promise<void> {
  const { log, signal } = options
  // Another installation may be under way; wait for it instead of failing.
  const unattended = [
    'DEBIAN_FRONTEND=noninteractive',
    'RUNLEVEL=1',
    'apt-get',
    '-o',
    'DPkg::Lock::Timeout=300',
  ]
  const see = (line: string): void => {
    if (PROGRESS.test(line)) log(`  ${line}`)
  }
  return runCommand('env', [...unattended, ...args], { see, signal })
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
