import { type ProgramProcess, startProgram } from '../harness/program-process.ts'
import type { ConsumersProgram, PublisherProgram } from './program.ts'

export function startConsumers(): ProgramProcess<ConsumersProgram> {
  const file = new URL('../millrace/many-consumers.ts', import.meta.url)
  return startProgram<ConsumersProgram>(file, { nodeArgs: ['--expose-gc'] })
}

export function startPublisher(): ProgramProcess<PublisherProgram> {
  return startProgram<PublisherProgram>(new URL('../millrace/publish-beside.ts', import.meta.url))
}
