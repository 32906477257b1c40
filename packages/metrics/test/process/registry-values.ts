import type { Registry } from 'prom-client'

/** What a registry shows, by name and labels as Prometheus reads them. */
export async function valuesOf(registry: Pick<Registry, 'metrics'>): Promise<Map<string, number>> {
  const values = new Map<string, number>()
  for (const line of (await registry.metrics()).split('\n')) {
    const found = /^(\w+(?:\{[^}]*\})?) (\S+)/.exec(line)
    if (found?.[1] !== undefined) values.set(found[1], Number(found[2]))
  }
  return values
}
