import { type MessagePort, parentPort } from 'node:worker_threads'
import { isMillraceError, messageOf } from '../../errors.ts'
import type { SpoolAnswer, SpoolCalls, SpoolRequest } from './protocol.ts'
import { createOwn, takeOrphans } from './scan.ts'
import type { SpoolFile } from './spool-file.ts'

/** The thread that waits for the disk: does one request after the other. */
const open = new Map<string, SpoolFile>()

function fileOf(path: string): SpoolFile {
  const file = open.get(path)
  if (file === undefined) throw new Error(`the spool file ${path} is not open`)
  return file
}

const calls: { [Name in keyof SpoolCalls]: SpoolCalls[Name] } = {
  adopt(directory, identity) {
    const { orphans, inUse } = takeOrphans(directory, identity, (path) => open.has(path))
    for (const { file } of orphans) open.set(file.path, file)
    return { orphans: orphans.map(({ facts }) => facts), inUse }
  },
  create(directory, identity, epoch) {
    const file = createOwn(directory, identity, epoch)
    open.set(file.path, file)
    return file.path
  },
  commit(path, commit) {
    return fileOf(path).commit(commit)
  },
  read(path, after, mostBatches, mostBytes) {
    return fileOf(path).read(after, mostBatches, mostBytes)
  },
  close(path) {
    const file = fileOf(path)
    open.delete(path)
    file.close()
  },
}

function answer(request: SpoolRequest): SpoolAnswer {
  const { id, name, args } = request
  try {
    // Name and arguments were paired by the caller's types.
    const call = calls[name] as (...args: readonly unknown[]) => unknown
    return { id, value: call(...args) }
  } catch (error) {
    const code = isMillraceError(error) ? error.code : 'SPOOL_FAILED'
    return { id, error: { code, message: messageOf(error) } }
  }
}

function serve(port: MessagePort): void {
  port.on('message', (request: SpoolRequest | 'end') => {
    if (request !== 'end') {
      port.postMessage(answer(request))
      return
    }
    for (const file of open.values()) {
      try {
        file.close()
      } catch {
        // The lock goes with the thread; what is on disk is there for the next process.
      }
    }
    port.close()
  })
}

if (parentPort !== null) serve(parentPort)
