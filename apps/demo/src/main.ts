import { closeSync, openSync, writeFileSync } from 'node:fs'
import { runDemo } from './demo.ts'
import { type DemoOptions, helpText, OptionsError, readOptions } from './options.ts'
import { createScreen } from './screen/screen.ts'
import { summary } from './screen/summary.ts'

/** One Ctrl-C may arrive more than once, from the terminal and from whoever started this process. */
const SAME_SIGNAL_MS = 300

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions | 'help'
  try {
    options = readOptions(args, process.env)
    if (options !== 'help' && options.jsonPath !== undefined) assertWritable(options.jsonPath)
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    process.stderr.write(`${error.message}\nnpm start -- --help shows all options.\n`)
    return 2
  }
  if (options === 'help') {
    process.stdout.write(helpText)
    return 0
  }
  return play(options)
}

async function play(options: DemoOptions): Promise<number> {
  const screen = createScreen(process.stdout)
  const interruption = listenForSignals()
  try {
    const report = await runDemo(options, screen, interruption)
    for (const line of summary(report)) screen.say(line)
    if (options.jsonPath !== undefined) {
      writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`)
      screen.say(`The results are in ${options.jsonPath}.`)
    }
    return report.ok ? 0 : 1
  } catch (error) {
    if (interruption.early.aborted && isAbort(error)) {
      screen.say('interrupted')
      return 130
    }
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  } finally {
    interruption.stopListening()
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}

interface Listening {
  readonly early: AbortSignal
  readonly atOnce: AbortSignal
  stopListening(): void
}

/** The first signal ends the replay early, the second one this process. */
function listenForSignals(): Listening {
  const early = new AbortController()
  const atOnce = new AbortController()
  let firstAtMs: number | undefined
  const onSignal = (): void => {
    if (firstAtMs === undefined) {
      firstAtMs = performance.now()
      early.abort()
      return
    }
    if (performance.now() - firstAtMs < SAME_SIGNAL_MS) return
    atOnce.abort()
    process.exit(130)
  }
  const onHangUp = (): void => {
    atOnce.abort()
    process.exit(129)
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onHangUp)
  return {
    early: early.signal,
    atOnce: atOnce.signal,
    stopListening: () => {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onHangUp)
    },
  }
}

/** Finds out now, and not after the run, whether the file can be written. It also empties it. */
function assertWritable(path: string): void {
  try {
    closeSync(openSync(path, 'w'))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new OptionsError([`--json: the file cannot be written (${reason})`])
  }
}
