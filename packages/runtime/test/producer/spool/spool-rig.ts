import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Core } from '../../../src/core.ts'
import type { ProducerOptions, PublishResult } from '../../../src/producer/options.ts'
import { Producer } from '../../../src/producer/producer.ts'
import type { SpoolOptions } from '../../../src/producer/spool/options.ts'
import { defineStream, type EventStream } from '../../../src/stream/define-stream.ts'

export const stream: EventStream<{ n: number }, { n: number }> = defineStream<{ n: number }>(
  'flights',
)
export const KEY = 'mr:{flights}flights'

/** A directory for spool files that goes with the test. */
export interface SpoolDirectory extends Disposable {
  readonly path: string
  /** The spool files in it, in the order in which they were created. */
  files(): string[]
}

export function spoolDirectory(parent: string = tmpdir()): SpoolDirectory {
  const path = mkdtempSync(join(parent, 'millrace-spool-'))
  return {
    path,
    files: () =>
      readdirSync(path)
        .filter((name) => name.endsWith('.spool'))
        .toSorted()
        .map((name) => join(path, name)),
    [Symbol.dispose]() {
      rmSync(path, { recursive: true, force: true })
    },
  }
}

export type SpoolingProducer = Producer<{ n: number }, PublishResult>

/** A producer that goes to disk soon. */
export function spoolingProducer(
  core: Core,
  directory: string,
  spool: Partial<SpoolOptions> = {},
  options: ProducerOptions = {},
): SpoolingProducer {
  return new Producer<{ n: number }, PublishResult>(core, stream, {
    producerId: 'tower',
    whenUnavailable: 'spool',
    spool: { directory, afterMs: 50, ...spool },
    ...options,
  })
}

export function storedOf(results: readonly PublishResult[]): string[] {
  return results.map(({ stored }) => stored)
}
