import { parseArgs } from 'node:util'

/** What the demo is to do, as read from its arguments and environment. */
export interface DemoOptions {
  /** How long flights are replayed. */
  readonly seconds: number
  /** How many flight updates are published in a second, on average. */
  readonly eventsPerSecond: number
  /** The server to use; undefined for a private one. */
  readonly redisUrl: string | undefined
  /** Where to write the results. */
  readonly jsonPath: string | undefined
}

const defaults = Object.freeze({ seconds: 30, eventsPerSecond: 400 })

export const helpText: string = `Replays US domestic flights of early 2001. First three services poll an old HTTP API for them and
move, one by one and live, to an event stream; then the flights are published on a stream, what
consumes them is killed half-way, and counting proves that nothing was lost.

  npm start -- [options]

  --seconds <n>   how long to replay in the second act, 4 to 3600 (default ${defaults.seconds})
  --rate <n>      flight updates a second on average, 10 to 5000 (default ${defaults.eventsPerSecond})
  --json <file>   also write the results there
  --redis <url>   the Redis to use (default: REDIS_URL, else a private one)
  --help          show this

It exits with 0 if nothing was lost or out of order, with 1 if something was, with 2 if an
option is wrong. Ctrl-C ends the replay early and shows the summary; a second one ends at once.
`

/** Something is wrong with the arguments; each problem is one sentence. */
export class OptionsError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'OptionsError'
  }
}

/**
 * @returns the options, or `help` when that was asked for
 * @throws OptionsError which names all problems
 */
export function readOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): DemoOptions | 'help' {
  const values = parse(args)
  if (values.help === true) return 'help'
  const problems: string[] = []
  const given = env['REDIS_URL'] === '' ? undefined : env['REDIS_URL']
  const options: DemoOptions = {
    seconds: number('--seconds', values.seconds, 4, 3_600, defaults.seconds, problems),
    eventsPerSecond: number('--rate', values.rate, 10, 5_000, defaults.eventsPerSecond, problems),
    redisUrl:
      values.redis === undefined
        ? checkedUrl('REDIS_URL', given, problems)
        : checkedUrl('--redis', values.redis, problems),
    jsonPath: values.json,
  }
  if (values.json === '') problems.push('--json needs the name of a file')
  if (problems.length > 0) throw new OptionsError(problems)
  return options
}

interface Values {
  readonly seconds?: string
  readonly rate?: string
  readonly json?: string
  readonly redis?: string
  readonly help?: boolean
}

function parse(args: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string' },
        rate: { type: 'string' },
        json: { type: 'string' },
        redis: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new OptionsError([error instanceof Error ? error.message : String(error)])
  }
}

function number(
  name: string,
  text: string | undefined,
  least: number,
  most: number,
  fallback: number,
  problems: string[],
): number {
  if (text === undefined) return fallback
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= least && value <= most) return value
  problems.push(`${name} must be a number from ${least} to ${most}, not ${JSON.stringify(text)}`)
  return fallback
}

function checkedUrl(
  name: string,
  text: string | undefined,
  problems: string[],
): string | undefined {
  if (text === undefined) return undefined
  const url = URL.parse(text)
  if (url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== '') return text
  // The text itself stays out of the message: it may hold a password.
  problems.push(`${name} must be a URL like redis://user:password@host:6379/0`)
  return undefined
}
