import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { watched } from './gates.ts'

/**
 * What the ratios were when the limits were last set. To be taken anew, on a machine that does nothing else,
 * when a path becomes faster: what is lost later is not noticed otherwise.
 */
const usualRatios = z.record(z.string(), z.number().positive())
export type UsualRatios = z.infer<typeof usualRatios>

const file = new URL('usual.json', import.meta.url)

export function readUsual(): UsualRatios {
  return usualRatios.parse(JSON.parse(readFileSync(file, 'utf8')))
}

export function writeUsual(ratios: Readonly<Record<string, number>>): void {
  const rounded = watched.map(({ id }) => [id, Number((ratios[id] ?? Number.NaN).toPrecision(3))])
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(rounded), null, 2)}\n`)
}
