/** Lays out rows in columns: the first is text and stands left, the others are figures and stand right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  '),
  )
}

export function count(value: number): string {
  return value.toLocaleString('en')
}

export function milliseconds(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(1)
}

export function seconds(ms: number | undefined): string {
  return ms === undefined ? '–' : `${(ms / 1_000).toFixed(2)} s`
}
