/** A glob of Redis (`*`, `?`, `[a-z]`, `[^a]`, `\` before a character) as a pattern for the whole text. */
export function globToPattern(glob: string): RegExp {
  let source = ''
  for (let i = 0; i < glob.length; i++) {
    const character = glob.charAt(i)
    const end = character === '[' ? glob.indexOf(']', i + 1) : -1
    if (character === '*') source += '[^]*'
    else if (character === '?') source += '[^]'
    else if (end > i + 1) {
      source += classOf(glob.slice(i + 1, end))
      i = end
    } else if (character === '\\' && i + 1 < glob.length) source += quoted(glob.charAt(++i))
    else source += quoted(character)
  }
  return new RegExp(`^${source}$`)
}

function classOf(content: string): string {
  const isNegated = content.startsWith('^')
  const members = (isNegated ? content.slice(1) : content).replaceAll(/[\\\]^[]/g, '\\$&')
  return `[${isNegated ? '^' : ''}${members}]`
}

function quoted(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&')
}
