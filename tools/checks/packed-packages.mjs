// Packs every package that can be published and looks at the archive as its users will get it.

import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { collect } from '../child.mjs'

const folders = readdirSync('packages')
  .map((name) => join('packages', name))
  .filter((folder) => manifestOf(folder).private !== true)

mkdirSync('.cache', { recursive: true })
const target = mkdtempSync(resolve('.cache', 'packed-'))
try {
  for (const folder of folders) {
    const { name } = manifestOf(folder)
    const archive = join(target, `${name.replace('@', '').replace('/', '-')}.tgz`)
    const packed = await collect('pnpm', ['pack', '--out', archive], { cwd: folder })
    if (packed.code !== 0) {
      console.error(packed.output)
      console.error(`${name} could not be packed.`)
      process.exitCode = 1
      continue
    }
    for (const { file, args } of [
      { file: 'publint', args: ['run', archive, '--strict'] },
      { file: 'attw', args: [archive, '--profile', 'esm-only', '--no-emoji'] },
    ]) {
      const { code, output } = await collect(file, args, { cwd: '.' })
      if (code === 0) {
        console.log(`${name}: ${file} found nothing`)
      } else {
        console.error(`${output}\n${name}: ${file} found the faults above`)
        process.exitCode = 1
      }
    }
  }
} finally {
  rmSync(target, { recursive: true, force: true })
}

/** @param {string} folder */
function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}
