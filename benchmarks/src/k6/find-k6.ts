import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Where `tools/ensure-k6.mjs` puts the one that it builds. */
const BUILT = fileURLToPath(new URL('../../../.cache/k6/k6', import.meta.url))

/** The k6 on PATH, else the one that was built for this repository; version 2 or newer. */
export async function findK6(): Promise<
  { readonly command: string; readonly version: string } | undefined
> {
  for (const command of ['k6', BUILT]) {
    const version = await versionOf(command)
    if (version !== undefined && /^k6(?:\.\S+)? v(?:[2-9]|\d\d)\./.test(version))
      return { command, version }
  }
  return undefined
}

function versionOf(command: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, ['version'], { timeout: 20_000 }, (error, stdout) => {
      resolve(error ? undefined : stdout.split('\n', 1)[0])
    })
  })
}
