/** Lines that stay, and on a terminal one below them that tells what goes on. */
export interface Screen {
  say(line: string): void
  /** Replaces what was said to go on; an empty text removes it. */
  progress(text: string): void
}

/** Where nobody watches, only what stays is written. */
export function createScreen(out: NodeJS.WriteStream): Screen {
  if (!out.isTTY) return { say: (line) => void out.write(`${line}\n`), progress: () => undefined }
  const clear = '\r\u001B[K'
  let shown = ''
  return {
    say: (line) => void out.write(`${clear}${line}\n${shown}`),
    progress: (text) => {
      shown = text.slice(0, Math.max(0, out.columns - 1))
      out.write(`${clear}${shown}`)
    },
  }
}
