import type { Health, Millrace } from '@millrace/runtime'
import { condition } from '../declarations/condition.ts'
import { standing } from '../declarations/standing.ts'
import type { Board } from './board.ts'
import type { ServerClock } from './server-clock.ts'

/** Asks whatever is open here how it is, each time before that is shown. */
export function watchCondition(
  board: Board,
  open: ReadonlySet<Millrace>,
  clock: ServerClock,
): void {
  const offset = board.values(condition.clockOffset)
  board.onRefresh(() => {
    show(
      board,
      [...open].map((millrace) => millrace.health()),
    )
  })
  // Asked for with each look, and used from the next one on: nobody who looks waits for Redis.
  board.onRefresh(() => {
    const [millrace] = open
    if (millrace !== undefined) void clock.measure(millrace)
    if (clock.offsetMs !== undefined) offset.at().value = clock.offsetMs / 1_000
  })
}

function show(board: Board, all: readonly Health[]): void {
  const connections = board.values(standing.connections)
  const ready = board.values(condition.ready)
  const live = board.values(condition.live)
  const state = board.values(condition.readState)
  const confirmed = board.values(condition.readConfirmed)
  const inFlight = board.values(condition.inFlight)
  const credit = board.values(condition.credit)
  for (const metric of [connections, ready, live, state, confirmed, inFlight, credit])
    metric.clear()
  if (all.length === 0) return
  ready.at().value = Number(all.every((health) => health.ready))
  live.at().value = Number(all.every((health) => health.live))
  for (const health of all) {
    for (const [purpose, count] of Object.entries(health.connections))
      connections.at(purpose).value += count
    for (const read of health.reads) {
      const { stream, name } = read
      // Several readers of a stream have no names to tell them apart: they add up, and the worst counts.
      state.at(stream, name, read.state).value++
      const age = confirmed.at(stream, name)
      age.value = Math.max(age.value, (read.confirmedAgoMs ?? read.unansweredMs) / 1_000)
      inFlight.at(stream, name).value += read.inFlight
      credit.at(stream, name).value += Math.max(read.mostInFlight - read.inFlight, 0)
    }
  }
}
