import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SpoolFile, type SpoolIdentity } from './spool-file.ts'
import type { FileFacts } from './verify.ts'

/** Spool files of one producer on one event stream, as a look into the directory found them. */
export interface Found {
  /** Files whose process has ended, now locked by this one; the oldest first. */
  readonly orphans: readonly { readonly file: SpoolFile; readonly facts: FileFacts }[]
  /** How many other processes are at work on files of their own. */
  readonly inUse: number
}

/** Takes over what ended processes left behind. If one file is damaged, none is taken. */
export function takeOrphans(
  directory: string,
  identity: SpoolIdentity,
  isOpen: (path: string) => boolean,
): Found {
  const orphans: { file: SpoolFile; facts: FileFacts }[] = []
  let inUse = 0
  try {
    for (const name of filesOf(directory, identity)) {
      const path = join(directory, name)
      if (isOpen(path)) continue
      const adopted = SpoolFile.adopt(path, identity)
      if (adopted === 'in-use') inUse++
      else if (adopted !== 'nothing')
        orphans.push({ file: adopted.file, facts: { ...adopted.facts, path } })
    }
  } catch (error) {
    for (const { file } of orphans) file.close()
    throw error
  }
  return { orphans, inUse }
}

/** Creates this process's own file; its number is above those of all that are there. */
export function createOwn(directory: string, identity: SpoolIdentity, epoch: string): SpoolFile {
  for (let above = 0; ; above++) {
    const numbers = filesOf(directory, identity).map(numberOf)
    const number = String(Math.max(0, ...numbers) + 1 + above).padStart(8, '0')
    const name = `${prefixOf(identity)}-${number}-${epoch}.spool`
    const file = SpoolFile.create(join(directory, name), identity, epoch)
    if (file !== undefined) return file
  }
}

/** Names of files in the order in which they were created. */
function filesOf(directory: string, identity: SpoolIdentity): string[] {
  mkdirSync(directory, { recursive: true })
  const prefix = `${prefixOf(identity)}-`
  return readdirSync(directory)
    .filter((name) => name.startsWith(prefix) && name.endsWith('.spool'))
    .toSorted((a, b) => numberOf(a) - numberOf(b) || (a < b ? -1 : 1))
}

function numberOf(name: string): number {
  return Number.parseInt(name.slice(name.indexOf('-') + 1), 10)
}

/** Of both names, because together they may be longer than a file name. */
function prefixOf({ producerId, stream }: SpoolIdentity): string {
  return createHash('sha256').update(`${producerId}\n${stream}`).digest('hex').slice(0, 16)
}
