#!/usr/bin/env node
/** The fleet exporter as a program. */
import { isMillraceError } from '@millrace/runtime'
import { parseCommandLine, USAGE } from './command-line.ts'
import { FleetExporter } from './fleet-exporter.ts'
import { serveFleet } from './serve-fleet.ts'

try {
  const line = parseCommandLine(process.argv.slice(2), process.env['REDIS_URL'])
  if (line.kind === 'help') console.log(USAGE)
  else {
    const server = await serveFleet(new FleetExporter(line.fleet), line.serve)
    console.log(`millrace-metrics: ${server.url}/metrics`)
    const end = (): void => void server.close()
    process.once('SIGINT', end).once('SIGTERM', end)
  }
} catch (error) {
  const text = isMillraceError(error) || error instanceof Error ? error.message : String(error)
  console.error(`millrace-metrics: ${text}\nTry --help.`)
  process.exitCode = 1
}
