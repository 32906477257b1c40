import { readdirSync, readFileSync, statSync } from 'node:fs'
import { root } from './pages.ts'

const source = `${root}/packages/runtime/src`

/** Commands whose subcommands have rights of their own. */
const CONTAINERS: ReadonlySet<string> = new Set(['client', 'cluster', 'memory', 'xgroup', 'xinfo'])

/** How the sources name Redis commands: in Lua, in Lua tables that are unpacked, and in TypeScript. */
const MENTIONS: readonly RegExp[] = [
  /\bp?call\('([A-Z]+)'(?:, '([A-Z]+)')?/g,
  /\{'(X[A-Z]+)', '([A-Z]+)'/g,
  /\bclient\.call(?:Buffer)?\(\s*'([a-z]+)'(?:, '([a-z]+)')?/g,
  /\breads\.read\(binary, '([a-z]+)'/g,
  /\bcommand\(\s*session,\s*binary,\s*'([a-z]+)'/g,
]

/** The Redis commands that the files send, as ACL rules name them, in order. */
export function commandsIn(files: readonly string[]): string[] {
  const found = new Set<string>()
  for (const file of files) {
    const text = readFileSync(`${source}/${file}`, 'utf8')
    for (const mention of MENTIONS) {
      for (const [, name = '', sub = ''] of text.matchAll(mention)) {
        const command = name.toLowerCase()
        found.add(CONTAINERS.has(command) ? `${command}|${sub.toLowerCase()}` : command)
      }
    }
  }
  return [...found].toSorted()
}

/** The TypeScript files below a folder of the sources. */
export function filesIn(folder: string): string[] {
  return readdirSync(`${source}/${folder}`, { recursive: true })
    .map((name) => (folder === '' ? String(name) : `${folder}/${String(name)}`))
    .filter((name) => name.endsWith('.ts') && statSync(`${source}/${name}`).isFile())
}
