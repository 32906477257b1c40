import { evaluate } from '../connection/script.ts'
import type { Core } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { messageOf, MillraceError } from '../errors.ts'
import { newNonce } from '../lease/token.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { buildEntry, entryBytes } from '../stream/entry.ts'
import { newIncarnation } from '../stream/incarnation.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { validate } from '../stream/validation.ts'
import { appendStepScript } from './append-script.ts'
import type { RunOptions } from './extension.ts'

/** One event of a step. */
export interface StepEvent<Input> {
  readonly data: Input
  readonly type?: string | undefined
  readonly timeMs?: number | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The ordering key, where the stream's own function cannot tell it. */
  readonly key?: string | undefined
}

/** Events, and what is stored in the same moment. */
export interface Step<Input> {
  /** The companion key of the election, and the token that the caller holds. */
  readonly lease: { readonly name: string; readonly token: string }
  /** The companion key of the hash that counts the steps. */
  readonly ledger: string
  /** The number of this step; one more than the `step` that stands in the ledger, which begins at 0. */
  readonly number: number
  readonly events: readonly StepEvent<Input>[]
  /**
   * Fields of the ledger to set. Its own are `step`, `nonce`, `first`, `last`, `incarnation` and `anew` of the
   * last step, and `lastId`, the id of the last event of all steps.
   */
  readonly note: Readonly<Record<string, string>>
  /** Fields of another hash to set and to remove. */
  readonly index?: {
    readonly name: string
    readonly set: ReadonlyMap<string, string>
    readonly remove: readonly string[]
  }
}

export interface AppendedStep {
  /** Of the events; undefined when there were none. */
  readonly firstId: string | undefined
  readonly lastId: string | undefined
  /** Whether the stream was created anew since the step before. */
  readonly recreated: boolean
}

/** A step that is taken again after an unknown outcome has to be recognised. */
const nonces = new WeakMap<Step<never>, string>()

export async function appendStep<Input>(
  core: Core,
  keys: StreamKeys,
  stream: EventStream<Input, unknown>,
  keyOf: (name: string) => string,
  step: Step<Input>,
  options: RunOptions,
): Promise<AppendedStep> {
  const startedMs = core.clock.monotonicMs()
  let nonce = nonces.get(step as Step<never>)
  if (nonce === undefined) nonces.set(step as Step<never>, (nonce = newNonce()))
  const entries: (string | Buffer)[][] = []
  for (const event of step.events) entries.push(await encodeEvent(stream, event))
  await core.verify(stream, options.signal)
  const { index, note } = step
  const args: (string | number | Buffer)[] = [
    step.lease.token,
    step.number,
    nonce,
    newIncarnation(),
    keys.tag,
    entries.length,
    Object.keys(note).length,
    index?.set.size ?? 0,
    index?.remove.length ?? 0,
  ]
  for (const entry of entries) {
    args.push(entry.length)
    for (const part of entry) args.push(part)
  }
  for (const [name, value] of Object.entries(note)) args.push(name, value)
  if (index !== undefined) {
    for (const [name, value] of index.set) args.push(name, value)
    for (const name of index.remove) args.push(name)
  }
  const names = [step.lease.name, step.ledger, index?.name ?? step.ledger]
  const reply = (await core.connections.call(
    'data',
    keys.tag,
    (session) =>
      evaluate(session, appendStepScript, [keys.stream, keys.meta, ...names.map(keyOf)], args),
    options,
  )) as unknown[]
  if (reply[0] !== 'OK') throw refused(stream.name, step, reply)
  if (entries.length > 0) {
    channels.published.publish({
      stream: stream.name,
      events: entries.length,
      bytes: entries.reduce((sum, entry) => sum + entryBytes(entry), 0),
      duplicates: 0,
      durationMs: core.clock.monotonicMs() - startedMs,
    })
  }
  const idOf = (value: unknown): string | undefined => (value === '' ? undefined : String(value))
  return { firstId: idOf(reply[1]), lastId: idOf(reply[2]), recreated: reply[3] === '1' }
}

/** @throws MillraceError `PAYLOAD_INVALID`, `PAYLOAD_TOO_LARGE` */
export async function encodeEvent<Input>(
  stream: EventStream<Input, unknown>,
  event: StepEvent<Input>,
): Promise<(string | Buffer)[]> {
  if (stream.schema !== undefined) await validate(stream.schema, event.data, stream.name)
  let fields: (string | Buffer)[]
  try {
    const key = event.key ?? stream.key?.(event.data)
    fields = buildEntry(stream.codec.encode(event.data), { ...event, key })
  } catch (error) {
    throw new MillraceError(
      'PAYLOAD_INVALID',
      `A payload of ${stream.name} cannot be encoded: ${messageOf(error)}`,
      { stream: stream.name, cause: error },
    )
  }
  const bytes = entryBytes(fields)
  if (bytes <= stream.limits.maxPayloadBytes) return fields
  throw new MillraceError(
    'PAYLOAD_TOO_LARGE',
    `An event of ${stream.name} has ${bytes} bytes; at most ${stream.limits.maxPayloadBytes} are allowed`,
    { stream: stream.name },
  )
}

function refused(
  stream: string,
  step: Pick<Step<unknown>, 'lease' | 'number'>,
  reply: readonly unknown[],
): MillraceError {
  const why =
    reply[0] === 'LOST'
      ? 'another holder took the lease'
      : `step ${step.number} is not due, the last one was ${String(reply[1])}`
  return new MillraceError('LEASE_LOST', `Nothing was appended: ${why}`, {
    stream,
    name: step.lease.name,
  })
}
