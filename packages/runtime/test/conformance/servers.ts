import {
  ensureUnpackedServer,
  redisBinary,
  type ServerBinary,
  type ServerProduct,
} from '@millrace/testkit'

/** How the servers of one entry of the matrix belong together. */
export type Arrangement = 'cluster' | 'sentinel' | 'standalone'

/** One entry of the matrix: servers of one version in one arrangement, or why they cannot be had here. */
export type MatrixEntry = { readonly title: string; readonly arrangement: Arrangement } & (
  | { readonly binary: ServerBinary; readonly reason?: never }
  | { readonly reason: string; readonly binary?: never }
)

const repository = new URL('../../../..', import.meta.url).pathname

/** Versions beside the default one, by the Debian release that has them, the newest first. */
const NEWER: readonly { readonly product: ServerProduct; readonly suite: string }[] = [
  { product: 'valkey', suite: 'forky' },
  { product: 'redis', suite: 'forky' },
  { product: 'redis', suite: 'trixie' },
  { product: 'valkey', suite: 'trixie' },
]

const ARRANGEMENTS: readonly Arrangement[] = ['standalone', 'sentinel', 'cluster']

/**
 * The default version in all arrangements and the newest one alone; with `MILLRACE_TEST_SERVERS=all`
 * every version that can be had in all arrangements.
 */
export const matrix: readonly MatrixEntry[] = await entries()

async function entries(): Promise<readonly MatrixEntry[]> {
  const known = await redisBinary()
  const all = entriesOf(
    ARRANGEMENTS,
    known === undefined
      ? { name: '', reason: 'neither redis-server nor valkey-server is on PATH' }
      : { name: nameOf(known), binary: known },
  )
  const isFull = process.env['MILLRACE_TEST_SERVERS'] === 'all'
  for (const { product, suite } of isFull ? NEWER : NEWER.slice(0, 1)) {
    const { binary, reason } = await ensureUnpackedServer({ product, suite, root: repository })
    // A release moves on, so two of them may have the same version.
    if (binary !== undefined && all.some(({ title }) => title.endsWith(nameOf(binary)))) continue
    const server =
      binary === undefined
        ? { name: `${product} of Debian ${suite}`, reason }
        : { name: nameOf(binary), binary }
    all.push(...entriesOf(isFull ? ARRANGEMENTS : ['standalone'], server))
  }
  return all
}

type Server = { readonly name: string } & (
  | { readonly binary: ServerBinary; readonly reason?: never }
  | { readonly reason: string; readonly binary?: never }
)

function entriesOf(arrangements: readonly Arrangement[], server: Server): MatrixEntry[] {
  const { name, ...rest } = server
  return arrangements.map((arrangement) => ({
    ...rest,
    arrangement,
    title: `${arrangement} ${name}`.trim(),
  }))
}

function nameOf({ product, version }: ServerBinary): string {
  return `${product} ${version}`
}
