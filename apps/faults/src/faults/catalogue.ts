import { clientFaults } from './clients.ts'
import { clusterFaults } from './cluster.ts'
import type { Fault } from './fault.ts'
import { groupFaults } from './groups.ts'
import { lostReplyFaults } from './lost-replies.ts'
import { networkFaults } from './network.ts'
import { processFaults } from './processes.ts'
import { refusalFaults } from './refusals.ts'
import { sentinelFaults } from './sentinel.ts'
import { clockFaults } from './server-clock.ts'
import { serverFaults } from './server.ts'
import { spoolFaults } from './spool.ts'
import { streamFaults } from './stream-loss.ts'

/** All faults there are, those on the same servers together. */
export const catalogue: readonly Fault[] = [
  ...processFaults,
  ...serverFaults,
  ...spoolFaults,
  ...networkFaults,
  ...lostReplyFaults,
  ...clientFaults,
  ...streamFaults,
  ...groupFaults,
  ...refusalFaults,
  ...clockFaults,
  ...sentinelFaults,
  ...clusterFaults,
]
