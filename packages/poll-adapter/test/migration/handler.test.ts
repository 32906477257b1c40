import { describe, expect, it } from 'vitest'
import { UnrecoverableError } from '@millrace/runtime'
import { waitFor } from '@millrace/testkit'
import { pollChannels } from '@millrace/poll-adapter'
import { useRedis } from '../open-millrace.ts'
import { Board } from './board.ts'

const bed = useRedis()

describe('the handler of a poller', () => {
  it('is given the item again after it failed, whichever way it came, and nothing overtakes it', async () => {
    const board = await Board.open(bed)
    const failures = bed.gather(pollChannels.pollerFailed)
    const tried: string[] = []
    const failing = new Set(['LX1@2', 'LX1@5'])
    board.bridge()
    board.poller({
      handler: (_, { change, via, epoch }) => {
        tried.push(change.id)
        if (failing.delete(change.id)) throw new Error('planted')
        board.handled.push({ id: change.id, via, epoch })
      },
    })
    for (let n = 0; n < 3; n++) board.source.change('LX1')
    await board.settled()
    await board.switchTo('stream')
    for (let n = 0; n < 3; n++) board.source.change('LX1')
    await board.settled()
    expect(tried).toEqual([1, 2, 2, 3, 4, 5, 5, 6].map((version) => `LX1@${version}`))
    expect(failures.map(({ mode, error }) => [mode, error.message])).toEqual([
      ['poll', 'The handler failed for LX1@2'],
    ])
  })

  it('gets a dead letter of the stream again when it is redriven', async () => {
    const board = await Board.open(bed)
    let isBroken = true
    board.bridge()
    board.poller({
      handler: (_, { change, via, epoch }) => {
        if (isBroken && change.id === 'LX1@2') throw new UnrecoverableError('planted')
        board.handled.push({ id: change.id, via, epoch })
      },
    })
    board.source.change('LX1')
    await board.settled()
    await board.switchTo('stream')
    board.source.change('LX1')
    board.source.change('LX1')
    await waitFor(() => board.handled.some(({ id }) => id === 'LX1@3'), {
      describe: 'what comes after the dead letter',
    })
    isBroken = false
    await board.millrace.deadLetters(board.stream, 'board').redrive()
    await board.settled()
    expect(board.handled.map(({ id }) => id)).toEqual(['LX1@1', 'LX1@3', 'LX1@2'])
  })

  it('is finished before another mode or another process begins', async () => {
    const board = await Board.open(bed)
    board.bridge()
    let running = 0
    let most = 0
    const handler = async (): Promise<void> => {
      running += 1
      most = Math.max(most, running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running -= 1
    }
    const first = board.poller({ handler })
    board.poller({ handler }, await bed.open())
    for (const state of ['stream', 'poll', 'shadow', 'stream', 'poll'] as const) {
      for (let n = 0; n < 20; n++) board.source.change(`LX${n}`)
      await board.switchTo(state)
    }
    await first.close()
    await board.switchTo('stream')
    expect(most).toBe(1)
  })
})
