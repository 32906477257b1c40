import type { Clock } from '../lifecycle/clock.ts'
import { LONGEST_VISIBILITY_MS } from './options.ts'
import { SqsError } from './sqs-error.ts'

/** A message that was received and is invisible to others until its time is up or it is deleted. */
export interface Receipt {
  readonly handle: string
  readonly id: string
  readonly receivedMs: number
  /** Resolves when Redis has said whether the deletion counted. */
  readonly confirmed: Promise<boolean>
  /** Ends the delivery with success. */
  settle(): void
  /** Ends the delivery without success: the message is visible again. */
  release(): void
}

interface Held {
  readonly receipt: Receipt
  cancel: () => void
  /** Set from the moment it is deleted: then its time no longer runs out. */
  deletion: Promise<boolean> | undefined
}

/** How many receipts of deleted messages are remembered: deleting twice is no error. */
const DELETED_KEPT = 10_000

/**
 * The receipts that this process holds. A receipt is good for one delivery: once the time of a message
 * is up it can neither delete the message nor prolong anything, because another receiver may have it.
 */
export class Receipts {
  readonly #clock: Clock
  readonly #held = new Map<string, Held>()
  readonly #deleted = new Set<string>()
  #emptied: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Messages in flight. */
  get size(): number {
    return this.#held.size
  }

  issue(receipt: Receipt, visibilityMs: number): void {
    const held: Held = { receipt, cancel: () => undefined, deletion: undefined }
    this.#held.set(receipt.handle, held)
    this.#arm(held, visibilityMs)
  }

  /**
   * Deletes the message; resolves when Redis has confirmed it. Deleting twice is no error.
   * @throws SqsError `ReceiptHandleIsInvalid` when the message is visible again, or somebody else's
   */
  async delete(handle: string): Promise<void> {
    const held = this.#held.get(handle)
    if (held === undefined) {
      if (this.#deleted.has(handle)) return
      throw outdated()
    }
    held.deletion ??= this.#delete(held)
    if (!(await held.deletion)) throw outdated()
  }

  /**
   * Counts the time of the message anew from now; 0 makes it visible at once.
   * @throws SqsError `MessageNotInflight`, `InvalidParameterValue`
   */
  changeVisibility(handle: string, visibilityMs: number): void {
    const held = this.#held.get(handle)
    if (held === undefined || held.deletion !== undefined) {
      throw new SqsError('MessageNotInflight', 'The message is not in flight under this receipt')
    }
    const sinceMs = this.#clock.monotonicMs() - held.receipt.receivedMs
    if (sinceMs + visibilityMs > LONGEST_VISIBILITY_MS + ROUNDING_MS) {
      throw new SqsError(
        'InvalidParameterValue',
        'A message stays invisible for at most 43200 seconds after it was received',
      )
    }
    held.cancel()
    this.#arm(held, visibilityMs)
  }

  /** Makes the message visible again, if it still is in flight. */
  release(handle: string): void {
    const held = this.#held.get(handle)
    if (held !== undefined && held.deletion === undefined) this.#release(held)
  }

  /** Makes everything visible again that is not being deleted. */
  releaseAll(): void {
    for (const held of [...this.#held.values()]) {
      if (held.deletion === undefined) this.#release(held)
    }
  }

  /** Resolves when nothing is in flight. */
  async emptied(): Promise<void> {
    if (this.#held.size === 0) return
    await new Promise<void>((resolve) => {
      this.#emptied.push(resolve)
    })
  }

  #arm(held: Held, visibilityMs: number): void {
    if (visibilityMs === 0) {
      this.#release(held)
      return
    }
    held.cancel = this.#clock.after(visibilityMs, () => {
      this.#release(held)
    })
  }

  async #delete(held: Held): Promise<boolean> {
    const { receipt } = held
    held.cancel()
    receipt.settle()
    const counted = await receipt.confirmed
    if (counted) this.#remember(receipt.handle)
    this.#drop(receipt.handle)
    return counted
  }

  #release(held: Held): void {
    held.cancel()
    held.receipt.release()
    this.#drop(held.receipt.handle)
  }

  #remember(handle: string): void {
    this.#deleted.add(handle)
    if (this.#deleted.size <= DELETED_KEPT) return
    for (const oldest of this.#deleted) {
      this.#deleted.delete(oldest)
      break
    }
  }

  #drop(handle: string): void {
    this.#held.delete(handle)
    if (this.#held.size > 0) return
    for (const resolve of this.#emptied.splice(0)) resolve()
  }
}

/** Receiver and sender of a whole span do not read the clock at the same moment. */
const ROUNDING_MS = 1_000

function outdated(): SqsError {
  return new SqsError(
    'ReceiptHandleIsInvalid',
    'The receipt is unknown here, or its time was up: the message is visible again, or somebody else’s',
  )
}
