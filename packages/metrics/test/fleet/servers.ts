import { ensureUnpackedServer, redisBinary, type ServerBinary } from '@millrace/testkit'

/** A server version to test on, or why it cannot be had here. */
export type TestServer = { readonly title: string } & (
  | { readonly binary: ServerBinary; readonly reason?: never }
  | { readonly reason: string; readonly binary?: never }
)

const root = new URL('../../../..', import.meta.url).pathname

/** The versions in which Redis' own lag lies in different ways: Redis 7.0, 8.0 and Valkey 9.1. */
export async function testServers(): Promise<readonly TestServer[]> {
  const onPath = await redisBinary()
  const first: TestServer =
    onPath === undefined
      ? { title: 'redis', reason: 'neither redis-server nor valkey-server is on PATH' }
      : { title: `${onPath.product} ${onPath.version}`, binary: onPath }
  const unpacked = await Promise.all(
    (['redis trixie', 'valkey forky'] as const).map(async (title): Promise<TestServer> => {
      const product = title.startsWith('redis') ? 'redis' : 'valkey'
      const suite = title.slice(product.length + 1)
      const { binary, reason } = await ensureUnpackedServer({ product, suite, root })
      return binary === undefined
        ? { title: `${product} of Debian ${suite}`, reason }
        : { title: `${product} ${binary.version}`, binary }
    }),
  )
  return [first, ...unpacked]
}
