import { resolveConnectOptions } from '../../src/connection/options.ts'
import { createCore } from '../../src/core.ts'
import { ConsumerGroup } from '../../src/group/group.ts'
import type { GroupOptions } from '../../src/group/options.ts'
import { defineStream } from '../../src/stream/define-stream.ts'

/**
 * A member in a process of its own, for tests that kill or stop it. Prints a line for each start and
 * each success; `behaviour` says what its handler does.
 */
export interface MemberProcessOptions {
  readonly url: string
  readonly stream: string
  readonly group: GroupOptions
  readonly sameHostTakeover: boolean
  /** `hang`: runs until its signal fires; `die`: ends the process hard at the event with this n; `quick`: succeeds. */
  readonly behaviour: { readonly hang: true } | { readonly die: number } | { readonly quick: true }
}

const argument = process.argv[2]
if (argument !== undefined) {
  const options = JSON.parse(argument) as MemberProcessOptions
  const { behaviour } = options
  const core = createCore(
    resolveConnectOptions(options.url, {
      sameHostTakeover: options.sameHostTakeover,
      blockMs: 500,
    }),
  )
  const group = new ConsumerGroup(core, defineStream<{ n: number }>(options.stream), options.group)
  group.start(async ({ id, data }, { attempt, signal }) => {
    process.stdout.write(`start ${id} ${attempt}\n`)
    if ('hang' in behaviour) {
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
    }
    if ('die' in behaviour && data.n === behaviour.die) process.kill(process.pid, 'SIGKILL')
    process.stdout.write(`done ${id} ${attempt}\n`)
  })
  await group.ready
  process.stdout.write('ready\n')
}
