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
  | { readonly reason: string }
)

const repository = new URL('../../../..', import.meta.url).pathname

/** Versions beside the default one, by the Debian release that has them; the first one stands for all in quick runs. */
const NEWER: readonly { readonly product: ServerProduct; readonly suite: string }[] = [
  { product: 'valkey', suite: 'forky' },
  { product: 'redis', suite: 'forky' },
  { product: 'redis', suite: 'trixie' },
  { product: 'valkey', suite: 'trixie' },
]

/** With `MILLRACE_TEST_SERVERS=all` every version that can be had, otherwise the default one and one newer. */
export const matrix: readonly MatrixEntry[] = await entries()

async function entries(): Promise<readonly MatrixEntry[]> {
  const all: MatrixEntry[] = []
  const known = await redisBinary()
  for (const arrangement of ['standalone', 'sentinel', 'cluster'] as const) {
    all.push(
      known === undefined
        ? {
            arrangement,
            title: arrangement,
            reason: 'neither redis-server nor valkey-server is on PATH',
          }
        : { arrangement, title: `${arrangement} ${nameOf(known)}`, binary: known },
    )
  }
  const wanted = process.env['MILLRACE_TEST_SERVERS'] === 'all' ? NEWER : NEWER.slice(0, 1)
  for (const { product, suite } of wanted) {
    const { binary, reason } = await ensureUnpackedServer({ product, suite, root: repository })
    // A release moves on, so two of them may have the same version.
    if (binary !== undefined && all.some(({ title }) => title === `standalone ${nameOf(binary)}`))
      continue
    all.push(
      binary === undefined
        ? { arrangement: 'standalone', title: `standalone ${product} of Debian ${suite}`, reason }
        : { arrangement: 'standalone', title: `standalone ${nameOf(binary)}`, binary },
    )
  }
  return all
}

function nameOf({ product, version }: ServerBinary): string {
  return `${product} ${version}`
}
