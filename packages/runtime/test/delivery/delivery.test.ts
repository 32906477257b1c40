import { describe, expect, it } from 'vitest'
import { Delivery } from '../../src/delivery/context.ts'
import { isUnrecoverable, UnrecoverableError } from '../../src/delivery/unrecoverable.ts'

describe('the context of a delivery', () => {
  it('fires a signal that was read before', () => {
    const delivery = new Delivery(1, false, { token: '1-a' })
    const { signal } = delivery
    delivery.abort(new Error('first'))
    delivery.abort(new Error('second'))
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({ message: 'first' })
  })

  it('hands out a signal that has fired when it is read too late', () => {
    const delivery = new Delivery(2, true, { token: '1-a' })
    delivery.abort(new Error('too late'))
    expect(delivery.signal.aborted).toBe(true)
    expect(delivery.signal).toBe(delivery.signal)
  })
})

describe('an unrecoverable error', () => {
  it('is told by its class or by its property', () => {
    expect(isUnrecoverable(new UnrecoverableError('no use'))).toBe(true)
    expect(isUnrecoverable(Object.assign(new TypeError('x'), { unrecoverable: true }))).toBe(true)
    expect(isUnrecoverable(Object.assign(new TypeError('x'), { unrecoverable: 'yes' }))).toBe(false)
    expect(isUnrecoverable('unrecoverable')).toBe(false)
    expect(isUnrecoverable(undefined)).toBe(false)
  })
})
