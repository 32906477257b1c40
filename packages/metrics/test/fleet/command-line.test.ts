import { expect, it } from 'vitest'
import { parseCommandLine, USAGE } from '../../src/fleet/command-line.ts'
import { FleetExporter } from '../../src/fleet/fleet-exporter.ts'

it('takes a URL, a port, globs and limits', () => {
  expect(
    parseCommandLine(
      [
        '--redis',
        'redis://a',
        '--port',
        '1',
        '--include',
        'mr:*',
        '--include',
        'x',
        '--max-streams',
        '5',
      ],
      undefined,
    ),
  ).toEqual({
    kind: 'serve',
    fleet: { redis: 'redis://a', include: ['mr:*', 'x'], maxStreams: 5 },
    serve: { port: 1 },
  })
})

it('takes the URL from the environment, and sentinels and clusters from arguments', () => {
  expect(parseCommandLine([], 'redis://b')).toMatchObject({ fleet: { redis: 'redis://b' } })
  expect(
    parseCommandLine(
      ['--sentinel', 'redis://s1', '--sentinel', 'redis://s2', '--master', 'm'],
      'redis://user:p%40ss@ignored',
    ),
  ).toMatchObject({
    fleet: {
      redis: {
        sentinels: ['redis://s1', 'redis://s2'],
        name: 'm',
        username: 'user',
        password: 'p@ss',
      },
    },
  })
  expect(parseCommandLine(['--cluster', 'redis://n1'], undefined)).toMatchObject({
    fleet: { redis: { cluster: ['redis://n1'] } },
  })
})

it('knows every flag that it tells of, and tells of every one', () => {
  expect(parseCommandLine(['-h'], undefined)).toEqual({ kind: 'help' })
  const flags = [...new Set(USAGE.match(/--[a-z-]+/g))]
  expect(flags.length).toBeGreaterThan(20)
  for (const flag of flags) {
    const value = /^--(port|max|deadline|discover|window|patience)/.test(flag) ? '1' : '/dev/null'
    expect(parseCommandLine([flag, value], 'redis://a')).toMatchObject({ kind: 'serve' })
  }
})

it.each([
  [['--port', 'x'], /--port must be a whole number/],
  [['--port', '70000'], /--port must be at most/],
  [['--nonsense'], /nonsense/],
  [[], /--redis is missing/],
])('refuses %j', (args, message) => {
  expect(() => parseCommandLine(args, args.length === 0 ? undefined : 'redis://a')).toThrow(message)
})

it('refuses options that are out of range, all in one error, without passwords', () => {
  expect(
    () =>
      new FleetExporter({
        redis: 'http://user:secret@host',
        maxStreams: 0,
        include: 'mr:*' as unknown as string[],
        ...{ nonsense: 1 },
      }),
  ).toThrow(
    expect.objectContaining({
      code: 'OPTIONS_INVALID',
      message: expect.not.stringContaining('secret') as string,
      issues: [
        expect.stringMatching(/^maxStreams /),
        expect.stringMatching(/^include /),
        expect.stringMatching(/^nonsense is not/),
        expect.stringMatching(/^redis must be a URL/),
      ] as unknown,
    }),
  )
  expect(
    () => new FleetExporter({ redis: 'redis://a', maxStreams: 100, maxCommands: 100 }),
  ).toThrow(/maxCommands must be at least maxStreams/)
})
