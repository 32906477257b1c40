import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Report } from '../harness/report.ts'

/** What the runs of benchmarks found out, by the benchmark's name. */
export type Results = ReadonlyMap<string, Report>

/**
 * Reads `<name>.json` of each benchmark that has one, as `npm run bench -- <name> --json` writes it.
 *
 * @throws an error that names the file which is not a result
 */
export async function readResults(directory: string): Promise<Results> {
  const names = (await filesIn(directory)).filter((name) => name.endsWith('.json')).toSorted()
  const results = new Map<string, Report>()
  for (const name of names) {
    const result = resultOf(name, await readFile(join(directory, name), 'utf8'))
    if (name !== `${result.benchmark}.json`)
      throw new Error(`${name} is a result of ${result.benchmark}: it should be called so`)
    results.set(result.benchmark, result)
  }
  return results
}

/** Whether a result is of a short run with loose bounds, which says whether something works and no more. */
export function isQuick({ criteria }: Report): boolean {
  return criteria.some(({ bound }) => bound === 'quick')
}

function resultOf(name: string, text: string): Report {
  const parsed = resultSchema.safeParse(jsonOf(name, text))
  if (!parsed.success) throw new Error(`${name} is no result: ${z.prettifyError(parsed.error)}`)
  return parsed.data as Report
}

function jsonOf(name: string, text: string): unknown {
  if (text === '') throw new Error(`${name} is empty: its benchmark did not come to an end`)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`${name} is not JSON`, { cause: error })
  }
}

async function filesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

// JSON has no NaN: a figure that could not be had is null, and its criterion has failed.
const numberOrNone = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN)
const figures = z.record(z.string(), numberOrNone)

const resultSchema = z.object({
  benchmark: z.string().regex(/^[a-z][a-z0-9-]*$/),
  criteria: z.array(
    z.object({
      id: z.string(),
      measured: numberOrNone,
      limit: z.number(),
      unit: z.string(),
      pass: z.boolean(),
      direction: z.enum(['at least', 'at most']),
      bound: z.enum(['quick', 'target']),
    }),
  ),
  ratios: figures,
  values: figures,
  rounds: z.array(z.object({ round: z.number(), variant: z.string(), figures })),
  series: z
    .array(
      z.object({
        name: z.string(),
        unit: z.string(),
        bound: z.number().optional(),
        points: z.array(z.tuple([z.number(), z.number()])),
      }),
    )
    .optional(),
  notes: z.array(z.string()).optional(),
  environment: z.object({
    machine: z.string(),
    cpus: z.number(),
    memoryGiB: z.number(),
    loadBefore: z.number(),
    node: z.string(),
    redis: z.string(),
    commit: z.string(),
    date: z.string(),
  }),
})
