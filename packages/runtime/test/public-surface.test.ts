import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

// Every change of what users see is a visible diff of the snapshot. When it is meant:
// npm test -- packages/runtime/test/public-surface.test.ts -u

const packageRoot = fileURLToPath(new URL('..', import.meta.url))

test('the public surface is the one in the snapshot', async () => {
  const declared = await mkdtemp(join(tmpdir(), 'millrace-surface-'))
  try {
    await declarations(declared)
    const surface = await surfaceOf(declared)
    await expect(surface).toMatchFileSnapshot('./public-surface.snapshot.txt')
  } finally {
    await rm(declared, { recursive: true, force: true })
  }
})

/** Has the compiler write the declarations, without what is marked as internal. */
async function declarations(folder: string): Promise<void> {
  const args = [
    ['-p', packageRoot],
    ['--outDir', folder],
    ['--tsBuildInfoFile', join(folder, '.tsbuildinfo')],
    ['--emitDeclarationOnly', '--stripInternal', '--declarationMap', 'false'],
  ].flat()
  const compiler = join(packageRoot, '../../node_modules/.bin/tsc')
  const child = spawn(compiler, args, { stdio: 'inherit' })
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`the compiler ended with ${String(code)}`)
}

interface Export {
  readonly name: string
  /** Whether only the type is exported: then nobody can call a constructor. */
  readonly typeOnly: boolean
  readonly module: string
}

/** All exported declarations in the order of the index, then what they mention of other declarations. */
async function surfaceOf(folder: string): Promise<string> {
  const index = await readFile(join(folder, 'index.d.ts'), 'utf8')
  const modules = new Modules(folder)
  const exports = exportsOf(index)
  const shown = new Map<string, string>()
  for (const { name, typeOnly, module } of exports) {
    const text = await modules.declarationOf(module, name)
    shown.set(name, typeOnly ? withoutConstructor(text) : text)
  }
  const mentioned = new Map<string, string>()
  for (const { name, module } of exports)
    await modules.follow(module, shown.get(name) ?? '', shown, mentioned)
  return [
    'Exported\n========',
    ...shown.values(),
    'Mentioned, and not exported\n===========================',
    ...[...mentioned].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text),
    '',
  ].join('\n\n')
}

function exportsOf(index: string): Export[] {
  return [...withoutComments(index).matchAll(/export (type )?\{([^}]*)\} from '([^']*)'/g)].flatMap(
    ([, allTypes, names = '', from = '']) =>
      names
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '')
        .map((name) => ({
          name: name.replace(/^type /, ''),
          typeOnly: allTypes !== undefined || name.startsWith('type '),
          module: declarationFile(from),
        })),
  )
}

/** The modules of the package, as declared. */
class Modules {
  readonly #folder: string
  readonly #texts = new Map<string, string>()

  constructor(folder: string) {
    this.#folder = folder
  }

  async declarationOf(module: string, name: string): Promise<string> {
    const found = (await this.#statements(module)).filter((text) => nameOf(text) === name)
    if (found.length === 0) throw new Error(`${module} does not declare ${name}`)
    return found.join('\n')
  }

  /** Adds the declarations of this package that the text mentions, and those that they mention. */
  async follow(
    module: string,
    text: string,
    shown: ReadonlyMap<string, string>,
    mentioned: Map<string, string>,
  ): Promise<void> {
    const words = new Set(text.match(/\b[A-Z]\w*/g) ?? [])
    const homes = await this.#homesOf(module)
    for (const word of words) {
      const home = homes.get(word)
      if (home === undefined || shown.has(word) || mentioned.has(word)) continue
      const declaration = withoutConstructor(await this.declarationOf(home, word))
      mentioned.set(word, declaration)
      await this.follow(home, declaration, shown, mentioned)
    }
  }

  /** Where each capitalised name that a module knows is declared: in itself, or in one that it imports. */
  async #homesOf(module: string): Promise<Map<string, string>> {
    const homes = new Map<string, string>()
    const text = await this.#text(module)
    for (const [, names = '', from = ''] of text.matchAll(
      /import (?:type )?\{([^}]*)\} from '(\.[^']*)'/g,
    )) {
      const home = relative('.', join(dirname(module), declarationFile(from)))
      for (const name of names.split(',')) homes.set(name.trim().replace(/^type /, ''), home)
    }
    for (const statement of await this.#statements(module)) homes.set(nameOf(statement), module)
    return homes
  }

  async #statements(module: string): Promise<string[]> {
    const text = await this.#text(module)
    return text
      .split(/\n(?=(?:export|declare|import|interface|type|class|const|function)\b)/)
      .map((statement) => statement.trim())
      .filter((statement) => nameOf(statement) !== '')
  }

  async #text(module: string): Promise<string> {
    let text = this.#texts.get(module)
    if (text === undefined) {
      text = withoutComments(await readFile(join(this.#folder, module), 'utf8'))
      this.#texts.set(module, text)
    }
    return text
  }
}

function declarationFile(from: string): string {
  return from.replace(/^\.\//, '').replace(/\.[jt]s$/, '.d.ts')
}

/** The name that a top-level declaration declares; '' for imports and what else there is. */
function nameOf(statement: string): string {
  const found =
    /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class|const|function) (\w+)/.exec(
      statement,
    )
  return found?.[1] ?? ''
}

function withoutComments(text: string): string {
  return text.replaceAll(/^\s*\/\*\*[\s\S]*?\*\/\n/gm, '').replaceAll(/^\s*\/\/.*\n/gm, '')
}

/** Private members say nothing, and a class of which only the type is exported cannot be made. */
function withoutConstructor(text: string): string {
  return text.replaceAll(/^ {4}(?:#private|constructor\(.*\)|private .*);\n/gm, '')
}
