import { parseArgs } from 'node:util'

export type Command =
  | { readonly is: 'help' }
  | {
      readonly is: 'run'
      readonly benchmark: string
      readonly jsonPath: string | undefined
      readonly quick: boolean
      readonly minutes: number | undefined
      readonly policies: readonly string[]
      readonly fullGrid: boolean
      readonly writeUsual: boolean
      readonly postgres: string | undefined
    }

/** The command line makes no sense; the message says why. */
export class UsageError extends Error {}

/** @throws UsageError */
export function parseCommandLine(args: readonly string[], benchmarks: readonly string[]): Command {
  const { values, positionals } = parse(args)
  if (values.help === true) return { is: 'help' }
  const names = benchmarks.join(', ')
  const [benchmark, ...more] = values.ci === true ? [REGRESSION_LANE, ...positionals] : positionals
  if (benchmark === undefined) throw new UsageError(`which benchmark? There are ${names}`)
  if (!benchmarks.includes(benchmark)) {
    throw new UsageError(`${benchmark} is not a benchmark; there are ${names}`)
  }
  if (more.length > 0)
    throw new UsageError(`one benchmark at a time, please: ${more.join(' ')} is too much`)
  if (values.json === '') throw new UsageError('--json needs the name of a file')
  if (values.postgres !== undefined && !/^postgres(ql)?:/.test(values.postgres))
    throw new UsageError('--postgres needs a URL that begins with postgres:')
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes)
  if (minutes !== undefined && !(minutes > 0 && minutes <= MOST_MINUTES))
    throw new UsageError(`--minutes must be a number above 0 and up to ${MOST_MINUTES}`)
  return {
    is: 'run',
    benchmark,
    jsonPath: values.json,
    quick: values.quick ?? false,
    minutes,
    policies: values.policy ?? [],
    fullGrid: values['full-grid'] ?? false,
    writeUsual: values['write-usual'] ?? false,
    postgres: values.postgres,
  }
}

/** The benchmark that `--ci` stands for. */
const REGRESSION_LANE = 'ci'

/** Longer than anybody waits. */
const MOST_MINUTES = 1_440

export function usage(
  benchmarks: readonly { readonly name: string; readonly summary: string }[],
): string {
  const width = Math.max(...benchmarks.map(({ name }) => name.length))
  return `npm run bench -- <benchmark> [--json <file>] [--quick]

${benchmarks.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

  --json <file>  write criteria, ratios, values, all rounds and the environment there
  --quick        less of everything, and loose bounds that hold on a machine that does other work too
  --minutes <n>  how long to measure, for a benchmark that measures over time
  --policy <p>   only this policy, for a benchmark that has some; may be repeated
  --full-grid    every cell of the grid, for a benchmark that has one; takes much longer
  --postgres <u> the URL of a PostgreSQL on this machine, for the poll API of a benchmark that has one
  --write-usual  for --ci, on a machine that does nothing else: makes the limits from what is measured now
  --help         this text

A Redis of its own is started for the run, and emptied between the variants; REDIS_URL is not used.
Exit code 0: every criterion passed; 1: one failed, or the benchmark could not be run; 2: wrong usage.
Profiles of all measured processes: NODE_OPTIONS="--cpu-prof --cpu-prof-dir=profiles" npm run bench -- …`
}

function parse(args: readonly string[]): {
  values: {
    help?: boolean | undefined
    ci?: boolean | undefined
    json?: string | undefined
    quick?: boolean | undefined
    minutes?: string | undefined
    policy?: string[] | undefined
    'full-grid'?: boolean | undefined
    'write-usual'?: boolean | undefined
    postgres?: string | undefined
  }
  positionals: string[]
} {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        ci: { type: 'boolean' },
        json: { type: 'string' },
        quick: { type: 'boolean' },
        minutes: { type: 'string' },
        policy: { type: 'string', multiple: true },
        'full-grid': { type: 'boolean' },
        'write-usual': { type: 'boolean' },
        postgres: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}
