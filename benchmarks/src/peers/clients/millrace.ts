import { connect } from '@millrace/runtime'
import { Redis } from 'ioredis'
import { timedStream } from '../../millrace/timed.ts'
import { servePeer } from '../peer-program.ts'
import { pendingOf } from '../pending.ts'

// A ConsumerGroup with default options: validated on both sides, each event appended once even if a
// batch is sent again, with leases and acks.
const GROUP = 'bench'

servePeer({
  chunksInFlight: 8,
  async openPublisher({ url, prefix }) {
    const millrace = await connect(url, { prefix })
    const stream = timedStream()
    return {
      publish: (events) => millrace.publish(stream, events),
      close: () => millrace.close(),
    }
  },
  async subscribe({ url, prefix }, handle) {
    const millrace = await connect(url, { prefix })
    const member = millrace.consumerGroup(timedStream(), { name: GROUP })
    member.start(({ data }) => {
      handle(data)
    })
    await member.ready
    const admin = new Redis(url)
    admin.on('error', () => undefined)
    return {
      unsettled: () => pendingOf(admin, `${prefix}{timed-0}timed-0`, GROUP),
      close: async () => {
        admin.disconnect()
        await millrace.close()
      },
    }
  },
})
