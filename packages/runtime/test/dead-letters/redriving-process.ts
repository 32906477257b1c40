import { connect, defineStream } from '../../src/index.ts'

/** Redrives letters at a rate, and tells each step. */
const [url = '', streamName = '', name = '', rate = ''] = process.argv.slice(2)
const millrace = await connect(url)
await millrace.deadLetters(defineStream(streamName), name).redrive({
  ratePerSecond: Number(rate),
  onProgress: (progress) => process.send?.(progress),
})
await millrace.close()
