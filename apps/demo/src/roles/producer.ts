import { loadFlightRecords } from '../flights/flight-records.ts'
import { ReplaySchedule } from '../flights/replay-schedule.ts'
import { Replay } from './replay.ts'
import { play } from './role.ts'

await play(async (stage) => {
  const schedule = new ReplaySchedule(await loadFlightRecords(), stage.settings.eventsPerSecond)
  return new Replay(stage, schedule)
})
