/** What one node knows of another one, as a line of CLUSTER NODES tells it. */
export interface KnownNode {
  readonly id: string
  readonly port: number
  readonly role: 'master' | 'replica'
  /** The node that answered. */
  readonly myself: boolean
  /** Its failure is agreed upon, not only suspected. */
  readonly failed: boolean
  readonly handshake: boolean
  readonly masterId: string | undefined
  readonly configEpoch: number
  readonly slots: readonly SlotRange[]
}

/** First and last slot of a range. */
export interface SlotRange {
  readonly from: number
  readonly to: number
}

/** Number of hash slots of every cluster. */
export const SLOTS = 16_384

/** Reads the reply to CLUSTER NODES. */
export function parseClusterNodes(text: string): readonly KnownNode[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(parseLine)
}

/** Who owns a slot, according to several nodes' views: the claim with the highest config epoch is the newest. */
export function ownerOf(
  slot: number,
  views: readonly (readonly KnownNode[])[],
): KnownNode | undefined {
  let owner: KnownNode | undefined
  for (const node of views.flat()) {
    const claims = node.slots.some((range) => range.from <= slot && slot <= range.to)
    if (claims && (!owner || node.configEpoch > owner.configEpoch)) owner = node
  }
  return owner
}

/** Divides all slots among so many masters, as evenly as can be. */
export function evenSlots(masters: number): readonly SlotRange[] {
  const border = (index: number): number => Math.round((index * SLOTS) / masters)
  return Array.from({ length: masters }, (_, index) => ({
    from: border(index),
    to: border(index + 1) - 1,
  }))
}

function parseLine(line: string): KnownNode {
  const [id = '', address = '', flagList = '', master = '-', , , epoch = '0', , ...slots] =
    line.split(' ')
  const flags = flagList.split(',')
  return {
    id,
    port: Number(/:(\d+)@/.exec(address)?.[1]),
    role: flags.includes('slave') ? 'replica' : 'master',
    myself: flags.includes('myself'),
    failed: flags.includes('fail'),
    handshake: flags.includes('handshake'),
    masterId: master === '-' ? undefined : master,
    configEpoch: Number(epoch),
    slots: slots.flatMap(parseSlots),
  }
}

function parseSlots(text: string): readonly SlotRange[] {
  // A slot on the move is listed once more in brackets; it still belongs to its owner.
  const match = /^(\d+)(?:-(\d+))?$/.exec(text)
  return match ? [{ from: Number(match[1]), to: Number(match[2] ?? match[1]) }] : []
}
