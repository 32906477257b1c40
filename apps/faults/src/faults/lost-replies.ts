import { createHash } from 'node:crypto'
import type { FaultProxy } from '@millrace/testkit'
import { type Fault, standalone, type StandaloneStage } from './fault.ts'

/** How long a fault waits for the commands whose replies it wants to lose, in milliseconds. */
const LONGEST_WAIT_MS = 8_000

/** The opening words of a script's contract, by which it is known when its source goes by. */
const scripts = {
  append: 'Appends a batch of events',
  checkpoint: 'Raises the beats and stores the positions',
  acquire: 'Takes the lease of a consumer',
  settle: 'Acknowledges, writes attempts, and gives back',
  beat: 'Raises a member',
} as const

/** Commands that Redis carries out and whose replies never arrive; the connection is then reset. */
export const lostReplyFaults: readonly Fault[] = [
  lostReplies('append', 15, true),
  lostReplies('checkpoint', 4, true),
  lostReplies('settle', 15, true),
  lostReplies('beat', 4, false),
  standalone({
    name: 'lost-reply-acquire',
    about: 'the replies to standbys that take over from killed holders are lost',
    async inject(stage) {
      const { cast, holder } = stage
      const holders = [holder('ledger'), holder('board')]
      await lose(stage, 2, scriptNamed('acquire'), async () => {
        await cast.kill(...holders)
        cast.restart(...holders)
      })
    },
  }),
  standalone({
    name: 'lost-reply-xreadgroup',
    about: 'the replies to 10 reads of members that had got events are lost',
    short: true,
    inject: (stage) =>
      lose(
        stage,
        10,
        () =>
          ([command]) =>
            isCommand(command, 'xreadgroup'),
      ),
  }),
  standalone({
    name: 'lost-reply-xread',
    about: 'the replies to 10 reads of consumers are lost',
    inject: (stage) =>
      lose(
        stage,
        10,
        () =>
          ([command]) =>
            isCommand(command, 'xread'),
      ),
  }),
  standalone({
    name: 'every-20th-reply-lost',
    about: 'every 20th reply is lost for 6 s, on every connection',
    short: true,
    async inject({ bed, pause }) {
      for (const link of bed.links()) link.dropEveryNthReply(20)
      await pause(6_000)
      for (const link of bed.links()) link.dropEveryNthReply(0)
    },
  }),
  standalone({
    name: 'replies-cut',
    about: 'ten times a reply is cut after 7 bytes',
    async inject({ bed, pause }) {
      const links = bed.links()
      for (let time = 0; time < 10; time += 1) {
        void links[time % links.length]?.cutReplyAfter(7)
        await pause(250)
      }
    },
  }),
]

type Matcher = (command: readonly string[]) => boolean

function lostReplies(script: keyof typeof scripts, times: number, short: boolean): Fault {
  return standalone({
    name: `lost-reply-${script}`,
    about: `the replies to ${times} calls of the ${script} script are lost`,
    ...(short ? { short } : {}),
    inject: (stage) => lose(stage, times, scriptNamed(script)),
  })
}

/** Loses so many replies, on whichever links they come. */
async function lose(
  { bed, pause }: StandaloneStage,
  times: number,
  matcher: () => Matcher,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  // Whoever calls a script then sends its source again, which tells its digest.
  await bed.server.client().script('FLUSH')
  const matches = matcher()
  const lost = { replies: 0 }
  const isWanted: Matcher = (command) => lost.replies < times && matches(command)
  // Armed again after each, until all links together have lost as many as wanted.
  const loseOn = async (link: FaultProxy): Promise<void> => {
    while (lost.replies < times) {
      await link.dropNextReply(isWanted)
      lost.replies += 1
    }
  }
  const links = bed.links()
  for (const link of links) void loseOn(link)
  await meanwhile()
  const endMs = performance.now() + LONGEST_WAIT_MS
  while (lost.replies < times && performance.now() < endMs) await pause(20)
  await Promise.all(links.map((link) => link.heal()))
  if (lost.replies < times)
    throw new Error(`only ${lost.replies} of ${times} replies to lose have come`)
}

function scriptNamed(name: keyof typeof scripts): () => Matcher {
  return () => {
    const digests = new Set<string>()
    return ([command, script = '']) => {
      if (isCommand(command, 'eval') && script.includes(scripts[name])) {
        digests.add(createHash('sha1').update(script).digest('hex'))
        return true
      }
      return isCommand(command, 'evalsha') && digests.has(script)
    }
  }
}

function isCommand(word: string | undefined, name: string): boolean {
  return word?.toLowerCase() === name
}
