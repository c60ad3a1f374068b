/** Names and values in turn; every `set-cookie` on its own. */
export function flatHeaders(headers: Headers): string[] {
  const flat: string[] = []
  for (const [name, value] of headers) flat.push(name, value)
  return flat
}
