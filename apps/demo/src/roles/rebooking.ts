import { channels } from '@millrace/runtime'
import { loadFlightRecords } from '../flights/flight-records.ts'
import { flightUpdates, type FlightUpdate } from '../flights/flight-updates.ts'
import { REBOOK_FROM_MINUTES, Timetable } from '../flights/timetable.ts'
import { type Act, play } from './role.ts'

/** How many other ways a passenger is offered. */
const OFFERS = 3

await play(async ({ settings, millrace, journaled, tell }): Promise<Act> => {
  const timetable = new Timetable(await loadFlightRecords())
  let rebooked = 0
  let stranded = 0
  channels.claimed.subscribe(({ from, events }) => {
    tell({ is: 'claimed', from, events })
  })
  const member = millrace
    .consumerGroup(flightUpdates, { name: settings.consumer, member: settings.name })
    .start(
      journaled<FlightUpdate>(({ data }) => {
        if (data.delayMinutes < REBOOK_FROM_MINUTES) return
        if (timetable.alternatives(data, OFFERS).length > 0) rebooked += 1
        else stranded += 1
      }),
    )
  return {
    ready: member.ready,
    done: member.done,
    close: () => member.close(),
    status: () => `${rebooked} late flights rebooked, ${stranded} without another way`,
  }
})
