import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { evenSlots, ownerOf, parseClusterNodes, SLOTS } from '../../src/cluster/cluster-view.ts'

const REPLY = `07c37df 127.0.0.1:30004@40004,host slave e7d1eec 0 1426238317239 4 connected
67ed2db 127.0.0.1:30002@40002 master - 0 1426238316232 2 connected 5461-10922
292f8b3 127.0.0.1:30003@40003 master,fail - 0 1426238318243 3 connected 10923-16383
e7d1eec 127.0.0.1:30001@40001 myself,master - 0 0 5 connected 0-5459 5460 [93-<-292f8b3]
`

test('the reply to CLUSTER NODES is read', () => {
  const nodes = parseClusterNodes(REPLY)
  expect(
    nodes.map(({ id, port, role, myself, failed }) => [id, port, role, myself, failed]),
  ).toEqual([
    ['07c37df', 30004, 'replica', false, false],
    ['67ed2db', 30002, 'master', false, false],
    ['292f8b3', 30003, 'master', false, true],
    ['e7d1eec', 30001, 'master', true, false],
  ])
  expect(nodes[0]?.masterId).toBe('e7d1eec')
  expect(nodes[3]?.slots).toEqual([
    { from: 0, to: 5459 },
    { from: 5460, to: 5460 },
  ])
})

test('of two claims on a slot the one with the higher epoch counts', () => {
  const before = parseClusterNodes(REPLY)
  const after = parseClusterNodes(
    '07c37df 127.0.0.1:30004@40004 myself,master - 0 0 6 connected 0-5460\n',
  )
  expect(ownerOf(5460, [before])?.id).toBe('e7d1eec')
  expect(ownerOf(5460, [before, after])?.id).toBe('07c37df')
  expect(ownerOf(5460, [])).toBeUndefined()
})

test('slots are divided without a gap and as evenly as can be', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), (masters) => {
      const ranges = evenSlots(masters)
      expect(ranges[0]?.from).toBe(0)
      expect(ranges.at(-1)?.to).toBe(SLOTS - 1)
      expect(ranges.slice(1).map(({ from }) => from - 1)).toEqual(
        ranges.slice(0, -1).map(({ to }) => to),
      )
      for (const { from, to } of ranges) {
        expect(Math.abs(to - from + 1 - SLOTS / masters)).toBeLessThanOrEqual(1)
      }
    }),
  )
})
