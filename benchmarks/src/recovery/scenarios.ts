import { setTimeout as sleep } from 'node:timers/promises'
import { nowUs } from '../load/timed-event.ts'
import { LEASE_MS, type Sender, type Stage } from './stage.ts'

/** A way of dying. */
export interface Scenario {
  readonly name: string
  /** For a person: what happens, and from when on the time is counted. */
  readonly what: string
  /** `lease`: somebody else may go on only when a lease has run out, and is judged by that. */
  readonly waitsFor: 'lease' | 'nothing' | 'process'
  /** Sets the stage until events flow; answers with how to break it, which answers with when the time begins. */
  readonly set: (
    stage: Stage,
  ) => Promise<{ readonly sender: Sender; readonly act: () => Promise<Broken> }>
}

interface Broken {
  readonly fromUs: number
  /** The sender from here on. */
  readonly sender: Sender
}

/** Long enough for a lease to be lost. */
const CUT_OFF_MS = 1.5 * LEASE_MS
const SPOOLED_EVENTS = 100
const LOOK_EVERY_MS = 50
/** A process that stands for one on another host. */
const ELSEWHERE = { sameHostTakeover: false } as const

export const scenarios: readonly Scenario[] = [
  {
    name: 'restart',
    what: 'the process of a consumer is killed and started again on the same host; from the kill',
    waitsFor: 'process',
    set: async (stage) => {
      const holder = await stage.follower()
      const sender = await stage.sender()
      const act = async (): Promise<Broken> => {
        const fromUs = nowUs()
        await holder.kill('SIGKILL')
        await stage.follower()
        return { fromUs, sender }
      }
      return { sender, act }
    },
  },
  {
    name: 'standby_elsewhere',
    what: 'the holder is killed, and a standby on another host goes on; from the kill',
    waitsFor: 'lease',
    set: async (stage) => {
      const holder = await stage.follower(ELSEWHERE)
      await stage.follower(ELSEWHERE)
      const sender = await stage.sender()
      const act = async (): Promise<Broken> => {
        const fromUs = nowUs()
        await holder.kill('SIGKILL')
        return { fromUs, sender }
      }
      return { sender, act }
    },
  },
  {
    name: 'member_elsewhere',
    what: 'a member of a group is killed with events under way, and one on another host handles them; from the kill',
    waitsFor: 'lease',
    set: async (stage) => {
      const member = await stage.follower({ as: 'member', ...ELSEWHERE })
      await stage.follower({ as: 'member', ...ELSEWHERE })
      const sender = await stage.sender()
      const act = async (): Promise<Broken> => {
        const fromUs = nowUs()
        await member.kill('SIGKILL')
        return { fromUs, sender }
      }
      return { sender, act }
    },
  },
  {
    name: 'redis_restart',
    what: 'Redis is killed and started again with its append-only file; from the kill',
    waitsFor: 'nothing',
    set: async (stage) => {
      await stage.follower()
      const sender = await stage.sender()
      const act = async (): Promise<Broken> => {
        const fromUs = nowUs()
        await stage.server.kill('SIGKILL')
        await stage.server.restart()
        return { fromUs, sender }
      }
      return { sender, act }
    },
  },
  {
    name: 'cut_off',
    what: `nothing arrives on the consumer's connections for ${CUT_OFF_MS / 1_000} s, and nobody is told; from the end of that`,
    waitsFor: 'nothing',
    set: async (stage) => {
      await stage.follower({ proxied: true })
      const sender = await stage.sender()
      const act = async (): Promise<Broken> => {
        stage.proxy.blackhole('both')
        await sleep(CUT_OFF_MS)
        const fromUs = nowUs()
        await stage.proxy.heal()
        return { fromUs, sender }
      }
      return { sender, act }
    },
  },
  {
    name: 'cut_off_standby',
    what: 'nothing arrives on the connections of the holder any more, and a standby goes on; from the beginning of that',
    waitsFor: 'lease',
    set: async (stage) => {
      await stage.follower({ proxied: true })
      await stage.follower()
      const sender = await stage.sender()
      const act = (): Promise<Broken> => {
        const fromUs = nowUs()
        stage.proxy.blackhole('both')
        return Promise.resolve({ fromUs, sender })
      }
      return { sender, act }
    },
  },
  {
    name: 'stopped',
    what: 'the process of the holder stands still (SIGSTOP), and a standby on the same host goes on; from the signal',
    waitsFor: 'lease',
    set: async (stage) => {
      const holder = await stage.follower()
      await stage.follower()
      const sender = await stage.sender()
      const act = async (): Promise<Broken> => {
        const fromUs = nowUs()
        await holder.kill('SIGSTOP')
        return { fromUs, sender }
      }
      return { sender, act }
    },
  },
  {
    name: 'producer_spool',
    what: 'Redis is away, the producer keeps events on disk and is killed, Redis comes back, and the producer is started again; from that start until all are handled',
    waitsFor: 'process',
    set: async (stage) => {
      await stage.follower()
      const sender = await stage.sender({ spools: true })
      const act = async (): Promise<Broken> => {
        await stage.server.kill('SIGKILL')
        while ((await sender.ask('spooled', null)) < SPOOLED_EVENTS) await sleep(LOOK_EVERY_MS)
        await sender.kill('SIGKILL')
        await stage.server.restart()
        const fromUs = nowUs()
        return { fromUs, sender: await stage.sender({ spools: true }) }
      }
      return { sender, act }
    },
  },
]
