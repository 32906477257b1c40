import { parseArgs } from 'node:util'
import { type WantedServer, wantedServer } from './beds/find-server.ts'
import { catalogue } from './faults/catalogue.ts'
import type { Fault } from './faults/fault.ts'

/** What the suite is to do. */
export interface Options {
  readonly what: 'help' | 'list' | 'run'
  /** Faults to let happen each alone. */
  readonly faults: readonly Fault[]
  /** How long to shuffle faults after those; 0 for not at all. */
  readonly shuffledMinutes: number
  readonly seed: number
  readonly eventsPerSecond: number
  /** The server to run them on; undefined for the one on the PATH. */
  readonly server: WantedServer | undefined
  readonly jsonPath: string | undefined
}

const defaults = Object.freeze({ eventsPerSecond: 500 })

export const helpText: string = `Lets processes, connections and servers fail under load, and proves by counting that no accepted
event is lost or out of order and that the flow resumes.

  npm run faults -- [options]

  (none)               a short selection, under four minutes
  --all                every fault, each alone
  --only <name>[,…]    these faults, each alone
  --shuffled <minutes> random faults one after the other under uninterrupted load, 0.1 to 1440
  --seed <n>           the seed of the shuffling (default: drawn, and printed)
  --rate <n>           events published a second, 10 to 5000 (default ${defaults.eventsPerSecond})
  --server <which>     on another server, as in redis-8.0 or valkey-9.1: from the PATH, or unpacked from
                       Debian's packages
  --json <file>        also write the results there
  --list               show all faults
  --help               show this

It exits with 0 if all is well, with 1 if an event was lost or out of order or if the flow did not
resume within ten seconds after a fault, with 2 if an option is wrong.
`

/** Something is wrong with the arguments; each problem is one sentence. */
export class OptionsError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'OptionsError'
  }
}

/** @throws OptionsError which names all problems */
export function readOptions(args: readonly string[], drawnSeed: number): Options {
  const values = parse(args)
  const problems: string[] = []
  const shuffledMinutes = number('--shuffled', values.shuffled, [0.1, 1_440], 0, problems)
  const options: Options = {
    what: values.help === true ? 'help' : values.list === true ? 'list' : 'run',
    faults: chosenFaults(values, problems),
    shuffledMinutes,
    seed: number('--seed', values.seed, [0, 4_294_967_295], drawnSeed, problems),
    eventsPerSecond: number('--rate', values.rate, [10, 5_000], defaults.eventsPerSecond, problems),
    server: chosenServer(values.server, problems),
    jsonPath: values.json,
  }
  if (values.json === '') problems.push('--json needs the name of a file')
  if (values.all === true && values.only !== undefined)
    problems.push('--all and --only cannot go together')
  if (problems.length > 0) throw new OptionsError(problems)
  return options
}

interface Values {
  readonly all?: boolean
  readonly only?: string
  readonly shuffled?: string
  readonly seed?: string
  readonly rate?: string
  readonly json?: string
  readonly server?: string
  readonly list?: boolean
  readonly help?: boolean
}

function parse(args: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...args],
      options: {
        all: { type: 'boolean' },
        only: { type: 'string' },
        shuffled: { type: 'string' },
        seed: { type: 'string' },
        rate: { type: 'string' },
        json: { type: 'string' },
        server: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new OptionsError([error instanceof Error ? error.message : String(error)])
  }
}

function chosenFaults(values: Values, problems: string[]): readonly Fault[] {
  if (values.all === true) return catalogue
  if (values.only === undefined)
    return values.shuffled === undefined ? catalogue.filter(({ short }) => short === true) : []
  return values.only.split(',').flatMap((name) => {
    const fault = catalogue.find((one) => one.name === name.trim())
    if (fault === undefined) problems.push(`--only: there is no fault ${JSON.stringify(name)}`)
    return fault ?? []
  })
}

function chosenServer(text: string | undefined, problems: string[]): WantedServer | undefined {
  if (text === undefined) return undefined
  const server = wantedServer(text)
  if (server === undefined)
    problems.push(`--server must be as redis-8.0 or valkey-9.1, not ${JSON.stringify(text)}`)
  return server
}

function number(
  name: string,
  text: string | undefined,
  [least, most]: readonly [number, number],
  fallback: number,
  problems: string[],
): number {
  if (text === undefined) return fallback
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= least && value <= most) return value
  problems.push(`${name} must be a number from ${least} to ${most}, not ${JSON.stringify(text)}`)
  return fallback
}
