import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { firstAnswer } from '../../src/connection/first-answer.ts'
import { systemClock } from '../../src/lifecycle/clock.ts'

const silence = (): Promise<never> => new Promise(() => undefined)

describe('Asking several nodes', () => {
  it('asks one after the other, and only as many as it takes', async () => {
    const asked: string[] = []
    const answer = await firstAnswer(
      systemClock,
      ['down', 'up', 'spare'],
      (name) => {
        asked.push(name)
        return name === 'down' ? Promise.reject(new Error(name)) : Promise.resolve(`${name}!`)
      },
      60_000,
    )
    expect(answer).toBe('up!')
    expect(asked).toEqual(['down', 'up'])
  })

  it('waits for no one who is silent, and still listens', async () => {
    const ask = (name: string): Promise<string> =>
      name === 'silent' ? silence() : Promise.resolve(name)
    expect(await firstAnswer(systemClock, ['silent', 'silent', 'up'], ask, 1)).toBe('up')
    const slow = async (name: string): Promise<string> => {
      if (name === 'slow') await delay(10)
      else await silence()
      return name
    }
    expect(await firstAnswer(systemClock, ['slow', 'silent'], slow, 1)).toBe('slow')
  })

  it('tells every problem when nobody answers', async () => {
    const problem = firstAnswer(
      systemClock,
      ['a', 'b'],
      (name) => Promise.reject(new Error(name)),
      60_000,
    )
    await expect(problem).rejects.toMatchObject({ errors: [{ message: 'a' }, { message: 'b' }] })
    await expect(firstAnswer(systemClock, [], silence, 1)).rejects.toMatchObject({ errors: [] })
  })
})
