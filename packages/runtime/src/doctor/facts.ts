import type { ResolvedDurability } from '../producer/durability/options.ts'

/** What is known about a server; what it would not tell is undefined. */
export interface ServerFacts {
  readonly product: 'redis' | 'valkey'
  readonly version: string
  /** Fields of INFO; undefined without the right to ask. */
  readonly info: ReadonlyMap<string, string> | undefined
  /** Settings of CONFIG GET; undefined without the right to ask, as with many hosted servers. */
  readonly config: ReadonlyMap<string, string> | undefined
  /** Fields of CLUSTER INFO; undefined where the server is not part of a cluster. */
  readonly cluster: ReadonlyMap<string, string> | undefined
  /** The server's clock minus ours, in milliseconds, and how far off that may be. */
  readonly clock: { readonly aheadMs: number; readonly uncertainMs: number }
  /** What producers are going to ask for; undefined where they do not. */
  readonly durability: ResolvedDurability | undefined
  /** The commands that the user may not send. */
  readonly refused: readonly string[]
}

/** Reads `name:value` lines. */
export function infoFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return fields
}

/** Reads name and value, again and again. */
export function pairFields(reply: unknown): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  if (Array.isArray(reply)) {
    for (let i = 0; i + 1 < reply.length; i += 2) fields.set(String(reply[i]), String(reply[i + 1]))
  } else if (typeof reply === 'object' && reply !== null) {
    for (const [name, value] of Object.entries(reply)) fields.set(name, String(value))
  }
  return fields
}
