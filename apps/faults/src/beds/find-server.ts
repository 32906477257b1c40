import { fileURLToPath } from 'node:url'
import {
  ensureUnpackedServer,
  redisBinary,
  type ServerBinary,
  type ServerProduct,
} from '@millrace/testkit'

/** A server to run the scenes on, such as Valkey 9.1. */
export interface WantedServer {
  readonly product: ServerProduct
  /** A version or the start of one. */
  readonly version: string
}

/** Debian releases whose servers may be unpacked beside the system's own. */
const SUITES = ['trixie', 'forky'] as const

/** Reads `redis-8.0`; undefined where that is not what it says. */
export function wantedServer(text: string): WantedServer | undefined {
  const [, product, version] = /^(redis|valkey)-(\d+(?:\.\d+){0,2})$/.exec(text) ?? []
  if (product === undefined || version === undefined) return undefined
  return { product: product as ServerProduct, version }
}

/**
 * Looks on the PATH, then among Debian's packages, which are unpacked and not installed.
 * @throws Error which says what was looked for, and what was found instead
 */
export async function findServer(
  { product, version }: WantedServer,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<ServerBinary> {
  const installed = await redisBinary({ product, version })
  if (installed !== undefined) return installed
  const root = fileURLToPath(new URL('../../../..', import.meta.url))
  const found: string[] = []
  for (const suite of SUITES) {
    const { binary, reason } = await ensureUnpackedServer({ product, suite, root, log, signal })
    if (binary !== undefined && `${binary.version}.`.startsWith(`${version}.`)) return binary
    found.push(`Debian ${suite}: ${binary === undefined ? reason : binary.version}`)
  }
  throw new Error(`There is no ${product} ${version} here: none on PATH; ${found.join('; ')}`)
}
