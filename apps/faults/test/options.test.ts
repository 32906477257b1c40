import { describe, expect, test } from 'vitest'
import { catalogue } from '../src/faults/catalogue.ts'
import { OptionsError, readOptions } from '../src/options.ts'

const SEED = 42

describe('the options', () => {
  test('choose the short selection where nothing is said', () => {
    const { faults, shuffledMinutes, eventsPerSecond, seed } = readOptions([], SEED)
    expect(faults).toEqual(catalogue.filter(({ short }) => short === true))
    expect({ shuffledMinutes, eventsPerSecond, seed }).toEqual({
      shuffledMinutes: 0,
      eventsPerSecond: 500,
      seed: SEED,
    })
  })

  test('choose all faults, some of them, or only the shuffling', () => {
    expect(readOptions(['--all'], SEED).faults).toEqual(catalogue)
    const some = readOptions(['--only', 'flush-all,busy'], SEED).faults
    expect(some.map(({ name }) => name)).toEqual(['flush-all', 'busy'])
    const shuffle = readOptions(['--shuffled', '30', '--seed', '7'], SEED)
    expect(shuffle).toMatchObject({ faults: [], shuffledMinutes: 30, seed: 7 })
    const elsewhere = readOptions(['--server', 'valkey-9.1'], SEED)
    expect(elsewhere.server).toEqual({ product: 'valkey', version: '9.1' })
  })

  test('that are wrong are all named at once', () => {
    const args = ['--only', 'nonsense', '--rate', 'fast', '--seed=-1', '--shuffled=0', '--all']
    expect(() => readOptions(args, SEED)).toThrow(OptionsError)
    expect(() => readOptions(args, SEED)).toThrow(/--shuffled.*\n--seed.*\n--rate.*\n--all/)
    expect(() => readOptions(['--only', 'nonsense'], SEED)).toThrow(/no fault "nonsense"/)
    expect(() => readOptions(['--nonsense'], SEED)).toThrow(OptionsError)
    expect(() => readOptions(['--server', 'redis 8'], SEED)).toThrow(/--server.*"redis 8"/)
  })
})

describe('the catalogue', () => {
  test('has no two faults of one name', () => {
    const names = catalogue.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  test('has a short selection with faults of every topology', () => {
    const short = catalogue.filter((fault) => fault.short === true)
    expect(new Set(short.map(({ topology }) => topology))).toEqual(
      new Set(['standalone', 'sentinel', 'cluster']),
    )
  })
})
