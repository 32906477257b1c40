import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { canInstallPackages, installPackages } from '../provision/install-package.ts'
import { outputOf, runCommand } from '../provision/run-command.ts'
import { sweepFolder } from '../server/process-guard.ts'
import { inspectBinary, type ServerBinary, type ServerProduct } from '../server/server-binary.ts'
import { debianArchive } from './debian-archive.ts'

/** Which server {@link ensureUnpackedServer} unpacks, and where to. */
export interface UnpackedServerOptions {
  readonly product: ServerProduct
  /** The Debian release that has the version wanted: `trixie` has Redis 8.0 and Valkey 8.1, `forky` Valkey 9.1. */
  readonly suite: string
  /** The repository's root; servers are kept in `.cache/servers` below it. */
  readonly root: string
  /** Told what is being done, a line at a time. */
  readonly log?: ((line: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** The server, or why there is none here: a test then skips with that reason. */
export type UnpackedServer =
  | { readonly binary: ServerBinary; readonly reason?: never }
  | { readonly binary?: never; readonly reason: string }

/**
 * Makes another version of a server usable beside the system's own: unpacks its Debian packages, with all
 * libraries they need down to the C library, into a folder, and runs the program through the loader that
 * came along. Nothing is installed but the tool that does it (`mmdebstrap`), where we may. What was
 * unpacked once is used from then on; remove `.cache/servers` to get newer versions.
 */
export async function ensureUnpackedServer(
  options: UnpackedServerOptions,
): Promise<UnpackedServer> {
  const { product, suite, root, log = () => {}, signal } = options
  const machine = MACHINES[process.arch]
  if (process.platform !== 'linux' || !machine)
    return { reason: `no servers for ${process.platform} on ${process.arch}` }

  const cache = join(root, '.cache', 'servers')
  // Named by version; the suite is a link, because only what was unpacked tells the version.
  const link = join(cache, `${product}-${suite}`)
  const cached = await cachedServer(product, cache, link, machine)
  if (cached) return { binary: cached }

  const obstacle = await toolIsMissing(log, signal)
  if (obstacle !== undefined) return { reason: obstacle }
  const archive = await debianArchive({ log, signal })
  if (archive === undefined) return { reason: 'apt is not set up for a Debian archive' }

  await mkdir(cache, { recursive: true })
  const workshop = await mkdtemp(join(cache, '.unpacking-'))
  // Should this process be killed before it comes to the end of this.
  await sweepFolder(workshop)
  try {
    log(`unpacking ${product}-server from Debian ${suite}`)
    const folder = await unpack(options, archive, workshop)
    const unpacked = await serverIn(product, folder, machine)
    if (!unpacked) return { reason: `${product}-server from Debian ${suite} does not run here` }
    const name = `${product}-${unpacked.version}`
    await moveUnlessThere(folder, join(cache, name))
    await replaceLink(link, name, workshop)
    log(`unpacked ${product}-server ${unpacked.version}`)
    const binary = await serverIn(product, join(cache, name), machine)
    return binary ? { binary } : { reason: `${name} does not run from its folder` }
  } catch (error) {
    signal?.throwIfAborted()
    return { reason: error instanceof Error ? error.message : String(error) }
  } finally {
    await rm(workshop, { recursive: true, force: true })
  }
}

/** Where Debian puts the loader and the libraries. */
interface Machine {
  readonly loader: string
  readonly libraries: string
}

const MACHINES: Readonly<Partial<Record<NodeJS.Architecture, Machine>>> = Object.freeze({
  x64: { loader: 'usr/lib64/ld-linux-x86-64.so.2', libraries: 'usr/lib/x86_64-linux-gnu' },
  arm64: { loader: 'usr/lib/ld-linux-aarch64.so.1', libraries: 'usr/lib/aarch64-linux-gnu' },
})

async function cachedServer(
  product: ServerProduct,
  cache: string,
  link: string,
  machine: Machine,
): Promise<ServerBinary | undefined> {
  try {
    return await serverIn(product, join(cache, await readlink(link)), machine)
  } catch {
    return undefined
  }
}

function serverIn(
  product: ServerProduct,
  folder: string,
  machine: Machine,
): Promise<ServerBinary | undefined> {
  const program = join(folder, 'usr', 'bin', `${product}-server`)
  const libraries = ['--library-path', join(folder, machine.libraries)]
  // Without it the server would take the loader's name for its own.
  const name = ['--argv0', `${product}-server`]
  return inspectBinary(product, join(folder, machine.loader), [...libraries, ...name, program])
}

async function toolIsMissing(
  log: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if ((await outputOf('mmdebstrap', ['--version'])) !== undefined) return undefined
  if (!(await canInstallPackages()))
    return 'mmdebstrap is not installed, and installing it needs root on Debian'
  log('no mmdebstrap here: installing it to unpack servers')
  try {
    await installPackages(['mmdebstrap'], { log, signal })
    return undefined
  } catch (error) {
    signal?.throwIfAborted()
    return `mmdebstrap could not be installed: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** Answers the folder that holds what running the server takes, and nothing else. */
async function unpack(
  options: UnpackedServerOptions,
  archive: string,
  workshop: string,
): Promise<string> {
  const { product, suite, signal } = options
  const whole = join(workshop, 'whole')
  const args = [
    '--variant=extract',
    // A release under development may stand past the date until which its index calls itself valid.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    `--include=${product}-server,${product}-tools`,
    suite,
    whole,
    `deb ${archive} ${suite} main`,
  ]
  await runCommand('mmdebstrap', args, { signal })
  // Devices above all must stay out of a folder in which people search for text.
  const kept = join(workshop, 'kept')
  await mkdir(join(kept, 'usr'), { recursive: true })
  for (const part of ['bin', 'lib', 'lib64']) {
    const from = join(whole, 'usr', part)
    if (existsSync(from)) await rename(from, join(kept, 'usr', part))
  }
  return kept
}

/** Another process may have unpacked the same meanwhile; its folder is as good. */
async function moveUnlessThere(folder: string, target: string): Promise<void> {
  try {
    await rename(folder, target)
  } catch (error) {
    if (!isErrorWithCode(error, ['ENOTEMPTY', 'EEXIST'])) throw error
  }
}

/** In one step, so that a process that looks meanwhile finds the old link or the new one. */
async function replaceLink(link: string, target: string, workshop: string): Promise<void> {
  const fresh = join(workshop, 'link')
  await symlink(target, fresh)
  await rename(fresh, link)
}

function isErrorWithCode(error: unknown, codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
