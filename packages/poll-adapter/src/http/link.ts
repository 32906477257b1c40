/** A link header to the same endpoint with some parameters set, or removed where the value is null. */
export function linkTo(
  url: URL,
  publicUrl: string | undefined,
  set: Readonly<Record<string, number | string | null>>,
  rel: string,
): string {
  const target = publicUrl === undefined ? new URL(url) : new URL(publicUrl)
  target.search = url.search
  for (const [name, value] of Object.entries(set)) {
    if (value === null) target.searchParams.delete(name)
    else target.searchParams.set(name, String(value))
  }
  return `<${target.href}>; rel="${rel}"`
}
