type Point = readonly [x: number, y: number]

/** Points over time, at most so many: each stands for its neighbours and is the greatest of them. */
export function thinned(points: readonly Point[], most: number): readonly Point[] {
  const every = Math.ceil(points.length / most)
  if (every <= 1) return points
  return Array.from({ length: Math.ceil(points.length / every) }, (_, n) =>
    points
      .slice(n * every, (n + 1) * every)
      .reduce((greatest, point) => (point[1] > greatest[1] ? point : greatest)),
  )
}
