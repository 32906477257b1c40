import { execFile } from 'node:child_process'

/** The two servers that speak the protocol and have streams. */
export type ServerProduct = 'redis' | 'valkey'

/** A server program that can be started on this machine. */
export interface ServerBinary {
  readonly product: ServerProduct
  /** The product's own version, such as `7.0.15` (for Valkey its own, not the Redis version it mimics). */
  readonly version: string
  /** The program to spawn: the server itself, or the dynamic loader that runs an unpacked one. */
  readonly command: string
  /** Arguments that come before the server's own. */
  readonly args: readonly string[]
}

/** Which server {@link redisBinary} looks for. */
export interface RedisBinaryOptions {
  /** The product wanted. Without it `redis-server` is looked for first, then `valkey-server`. */
  readonly product?: ServerProduct
  /** A version or the start of one: `8` and `8.0` both match `8.0.6`. */
  readonly version?: string
}

/**
 * Finds `redis-server` or `valkey-server` on PATH, and answers `undefined` where there is none that fits.
 * Nothing is remembered between calls, so that a server installed meanwhile is found.
 */
export async function redisBinary(
  options: RedisBinaryOptions = {},
): Promise<ServerBinary | undefined> {
  const products: readonly ServerProduct[] = options.product
    ? [options.product]
    : ['redis', 'valkey']
  for (const product of products) {
    const binary = await inspectBinary(product, `${product}-server`)
    if (binary && versionMatches(binary.version, options.version)) return binary
  }
  return undefined
}

/** Asks a program for its version; `undefined` when it cannot be run or is no such server. */
export async function inspectBinary(
  product: ServerProduct,
  command: string,
  args: readonly string[] = [],
): Promise<ServerBinary | undefined> {
  const banner = await firstLine(command, [...args, '--version'])
  const version =
    banner === undefined
      ? undefined
      : /^(?:Redis|Valkey) server v=(\d+(?:\.\d+)*)/.exec(banner)?.[1]
  return version === undefined ? undefined : { product, version, command, args }
}

/** Compares dotted versions number by number: 7.0.15 is at least 7.0.4, and 8 is at least 7.2. */
export function versionAtLeast(version: string, wanted: string): boolean {
  const have = version.split('.').map(Number)
  for (const [index, part] of wanted.split('.').map(Number).entries()) {
    const mine = have[index] ?? 0
    if (mine !== part) return mine > part
  }
  return true
}

function versionMatches(version: string, wanted: string | undefined): boolean {
  return wanted === undefined || version === wanted || version.startsWith(`${wanted}.`)
}

function firstLine(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 10_000 }, (error, stdout) => {
      resolve(error ? undefined : stdout.split('\n', 1)[0])
    })
  })
}
