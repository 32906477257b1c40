import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../src/fleet/command-line.ts'
import { promtool, reasonWithout } from './tools.ts'

const folder = new URL('../../compose/', import.meta.url).pathname
const compose = readFileSync(join(folder, 'compose.yaml'), 'utf8')

describe('The Compose file', () => {
  it('mounts only files that are there', () => {
    const mounted = [...compose.matchAll(/(\.{1,2}\/[^:\s']*|\.\.\/\.\.\/\.\.):\//g)].map(
      ([, path = '']) => path,
    )
    expect(mounted.length).toBeGreaterThanOrEqual(6)
    expect(mounted.filter((path) => !existsSync(join(folder, path)))).toEqual([])
  })

  it('starts the exporter from a file that is there, with arguments that it takes', () => {
    const command = /exporter:[^]*?command:\n((?:\s+- .*\n)+)/.exec(compose)?.[1] ?? ''
    const [program, condition, file = '', ...args] = [...command.matchAll(/- (.*)/g)].map(
      ([, word = '']) => word,
    )
    expect([program, condition]).toEqual(['node', '--conditions=millrace-source'])
    expect(existsSync(join(folder, '../../..', file))).toBe(true)
    expect(parseCommandLine(args, 'redis://redis:6379')).toMatchObject({
      serve: { host: '0.0.0.0', port: 9_472 },
    })
  })

  const reason = reasonWithout('promtool')
  it.skipIf(reason !== undefined)(
    `gives Prometheus a configuration that it takes${reason ? ` (${reason})` : ''}`,
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'millrace-compose-'))
      try {
        copyFileSync(join(folder, 'prometheus.yaml'), join(dir, 'prometheus.yaml'))
        copyFileSync(
          join(folder, '../alerts/millrace.rules.yaml'),
          join(dir, 'millrace.rules.yaml'),
        )
        const said = await promtool(['check', 'config', join(dir, 'prometheus.yaml')])
        expect(said).toContain('SUCCESS: 1 rule files found')
      } finally {
        rmSync(dir, { recursive: true, force: true })
      }
    },
  )
})
