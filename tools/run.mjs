// The one entry behind every root script: `node tools/run.mjs <command> [arguments]`.
// It needs nothing but Node 20 and npm, so it is plain JavaScript without dependencies.

import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const oldestHostNode = 20

process.exitCode = await main(process.argv[2], process.argv.slice(3))

/**
 * @param {string | undefined} name
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
async function main(name, args) {
  if (Number.parseInt(process.versions.node, 10) < oldestHostNode) {
    console.error(
      `millrace: Node ${oldestHostNode} or newer is needed to start; this is Node ${process.versions.node}.`,
    )
    return 1
  }
  // Imported only now, so that an older Node fails with the sentence above.
  const { commands } = await import('./commands.mjs')
  const { prepare, prepareForPnpm } = await import('./bootstrap/prepare.mjs')
  const { run } = await import('./child.mjs')
  const { Refusal, say } = await import('./voice.mjs')

  const command = name === undefined ? undefined : commands[name]
  if (command === undefined) {
    say(`${name ?? 'nothing'} is not a command; there are ${Object.keys(commands).join(', ')}.`)
    return 1
  }
  try {
    const env = await (name === 'pnpm' ? prepareForPnpm(root) : prepare(root))
    process.chdir(root)
    for (const step of command(args)) {
      if (step.say !== undefined) say(step.say)
      const code = await run(step.file, step.args, { cwd: root, env: { ...env, ...step.env } })
      if (code !== 0) {
        say(`${step.name} failed with exit code ${code}.`)
        return code
      }
    }
    return 0
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    say(error.message)
    return 1
  }
}
