import { describe, expect, test } from 'vitest'
import { OptionsError, readOptions } from '../src/options.ts'

describe('the options', () => {
  test('have defaults', () => {
    expect(readOptions([], {})).toEqual({
      seconds: 30,
      eventsPerSecond: 400,
      redisUrl: undefined,
      jsonPath: undefined,
    })
  })

  test('are read from the arguments, which win over the environment', () => {
    const args = ['--seconds', '15', '--rate=50', '--json', 'out.json', '--redis', 'redis://b:1']
    expect(readOptions(args, { REDIS_URL: 'redis://a:1' })).toEqual({
      seconds: 15,
      eventsPerSecond: 50,
      redisUrl: 'redis://b:1',
      jsonPath: 'out.json',
    })
    expect(readOptions([], { REDIS_URL: 'redis://a:1' })).toMatchObject({ redisUrl: 'redis://a:1' })
    expect(readOptions([], { REDIS_URL: '' })).toMatchObject({ redisUrl: undefined })
  })

  test('that are wrong are all named at once, without the password of a URL', () => {
    const args = ['--seconds', '1', '--rate', 'fast', '--redis', 'http://me:secret@b']
    expect(() => readOptions(args, {})).toThrow(OptionsError)
    expect(() => readOptions(args, {})).toThrow(/--seconds.*\n--rate.*\n--redis/)
    expect(() => readOptions(args, {})).not.toThrow('secret')
  })

  test('that do not exist are refused', () => {
    expect(() => readOptions(['--fast'], {})).toThrow(OptionsError)
    expect(() => readOptions(['flights'], {})).toThrow(OptionsError)
    expect(() => readOptions(['--seconds'], {})).toThrow(OptionsError)
  })

  test('can be asked for', () => {
    expect(readOptions(['--help', '--seconds', 'x'], {})).toBe('help')
  })
})
