import { idTimeMs } from '@millrace/runtime'
import { Exposition, labelsOf } from './exposition.ts'
import type { FleetSnapshot, GroupSnapshot, StreamSnapshot } from './snapshot.ts'

/** A snapshot in Prometheus' text format. */
export function renderSnapshot(snapshot: FleetSnapshot, maxConsumersPerGroup: number): string {
  const to = new Exposition()
  for (const stream of snapshot.streams) {
    const labels = labelsOf({ db: snapshot.db, stream: stream.key })
    addStream(to, labels, stream)
    for (const group of stream.groups) {
      const own = `${labels},${labelsOf({ group: group.name })}`
      addGroup(to, own, group)
      addJudgement(to, own, group)
      addConsumers(to, own, group, maxConsumersPerGroup)
    }
  }
  addExporter(to, snapshot)
  return to.toString()
}

function addStream(to: Exposition, labels: string, stream: StreamSnapshot): void {
  const { reading } = stream
  to.add('streamLength', labels, reading.length)
  to.add('streamGroups', labels, stream.groupCount)
  to.add('streamRadixKeys', labels, reading.radixTreeKeys)
  to.add('streamRadixNodes', labels, reading.radixTreeNodes)
  to.add('streamFirstEntryId', labels, idTimeMs(reading.firstId))
  to.add('streamLastEntryId', labels, idTimeMs(stream.lastEntryId))
  to.add('streamLastGeneratedId', labels, idTimeMs(reading.lastId))
  to.add('streamMaxDeletedId', labels, idTimeMs(reading.maxDeletedId))
  to.add('streamEntriesAdded', labels, reading.entriesAdded)
  if (stream.name !== '') to.add('streamInfo', `${labels},${labelsOf({ name: stream.name })}`, 1)
  to.addKnown('streamBytes', labels, stream.bytes)
  to.add('streamOldestAge', labels, seconds(stream.oldestAgeMs))
  if (stream.retentionMs !== undefined) {
    to.add('streamRetention', labels, seconds(stream.retentionMs))
  }
}

function addGroup(to: Exposition, labels: string, group: GroupSnapshot): void {
  to.add('groupConsumers', labels, group.consumerCount)
  to.add('groupPending', labels, group.pending)
  to.add('groupRedisLag', labels, group.lag.events)
  to.add('groupEntriesRead', labels, group.entriesRead ?? 0)
  to.add('groupLastDeliveredId', labels, idTimeMs(group.position))
  to.add('groupLag', labels, group.lag.events)
  to.add('groupLagKnown', labels, group.lag.known ? 1 : 0)
  to.add('groupLagAge', labels, seconds(group.lag.ms))
  if (group.headroomMs !== undefined) to.add('groupHeadroom', labels, seconds(group.headroomMs))
  if (group.oldestPendingAgeMs !== undefined) {
    to.add('groupOldestPendingAge', labels, seconds(group.oldestPendingAgeMs))
  }
  for (const [deliveries, events] of Object.entries(group.pendingByDeliveries ?? {})) {
    to.add('groupPendingByDeliveries', `${labels},${labelsOf({ deliveries })}`, events)
  }
}

function addJudgement(to: Exposition, labels: string, group: GroupSnapshot): void {
  to.addKnown('groupExpired', labels, group.expired)
  to.addKnown('groupDeadLetters', labels, group.deadLetters)
  if (group.oldestDeadLetterAgeMs !== undefined) {
    to.add('groupDeadLetterAge', labels, seconds(group.oldestDeadLetterAgeMs))
  }
  to.addKnown('groupRedriving', labels, group.redriving)
  if (group.members !== undefined) {
    to.add('groupMembers', `${labels},standing="alive"`, group.members.alive)
    to.add('groupMembers', `${labels},standing="expired"`, group.members.expired)
  }
  to.add('groupVerdict', `${labels},kind="${group.kind}",verdict="${group.verdict}"`, 1)
}

function addConsumers(
  to: Exposition,
  labels: string,
  { consumers }: GroupSnapshot,
  most: number,
): void {
  for (const { name, pending, idleMs } of consumers.slice(0, most)) {
    const own = `${labels},${labelsOf({ consumer: name })}`
    to.add('consumerPending', own, pending)
    to.add('consumerIdle', own, seconds(idleMs))
  }
}

function addExporter(to: Exposition, snapshot: FleetSnapshot): void {
  for (const node of snapshot.nodes) {
    const labels = labelsOf({ node: node.name })
    to.add('up', labels, node.isUp ? 1 : 0)
    to.addKnown('memoryUsed', labels, node.memoryUsedBytes)
    to.addKnown('memoryLimit', labels, node.memoryLimitBytes)
  }
  to.add('streams', 'standing="read"', snapshot.streams.length)
  to.add('streams', 'standing="skipped"', snapshot.skippedStreams)
  to.add('groupsSkipped', '', snapshot.skippedGroups)
  to.add('scrapeCommands', '', snapshot.commands)
  to.add('scrapeDuration', '', seconds(snapshot.durationMs))
  to.add('detailsAge', '', seconds(snapshot.detailsAgeMs))
  for (const [kind, count] of Object.entries(snapshot.errors)) {
    to.add('scrapeErrors', labelsOf({ kind }), count)
  }
}

function seconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000_000
}
