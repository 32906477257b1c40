import { parseArgs } from 'node:util'

export interface ReportCommand {
  /** The benchmarks to run before; none means to take the results that are there. */
  readonly run: readonly string[]
  readonly quick: boolean
  /** Where the results are; left out for those of the repository. */
  readonly results: string | undefined
  /** Where both pages go to; left out for `docs/`, and for the figures of all other pages. */
  readonly out: string | undefined
}

/** The command line makes no sense; the message says why. */
export class ReportUsageError extends Error {}

export const reportUsage = `npm run bench:report [-- --run <benchmark,…|all> [--quick]] [--results <folder> --out <folder>]

  --run <names>       run these benchmarks first, one after the other, and keep their results
  --quick             run them short; their results say little and must go elsewhere
  --results <folder>  where the results are, one <benchmark>.json each; benchmarks/results by default
  --out <folder>      write benchmarks.md and benchmarks.html there, and change no other page
  --help              this text

Without --out, docs/benchmarks.md, docs/benchmarks.html and the figures with markers in README.md, in docs/
and in the READMEs of packages and apps are written anew.`

/** @throws ReportUsageError */
export function parseReportCommand(
  args: readonly string[],
  benchmarks: readonly string[],
): ReportCommand | 'help' {
  const values = parse(args)
  if (values.help === true) return 'help'
  const asked = values.run?.split(',') ?? []
  const run = asked.includes('all') ? benchmarks : asked
  const unknown = run.filter((name) => !benchmarks.includes(name))
  if (unknown.length > 0)
    throw new ReportUsageError(
      `${unknown.join(', ')} cannot be run; there are ${benchmarks.join(', ')}`,
    )
  const quick = values.quick ?? false
  if (quick && run.length === 0) throw new ReportUsageError('--quick is for --run')
  if ((values.results === undefined) !== (values.out === undefined))
    throw new ReportUsageError(
      '--results and --out go together: the pages in docs/ are made of benchmarks/results',
    )
  if (quick && values.results === undefined)
    throw new ReportUsageError('results of short runs are not kept: say --results and --out')
  return { run, quick, results: values.results, out: values.out }
}

function parse(args: readonly string[]): {
  help?: boolean | undefined
  run?: string | undefined
  quick?: boolean | undefined
  results?: string | undefined
  out?: string | undefined
} {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        run: { type: 'string' },
        quick: { type: 'boolean' },
        results: { type: 'string' },
        out: { type: 'string' },
      },
    }).values
  } catch (error) {
    throw new ReportUsageError(error instanceof Error ? error.message : String(error), {
      cause: error,
    })
  }
}
