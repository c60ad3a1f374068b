/** The value of a header by its lower-case name, several joined by `, `; undefined when it is missing. */
export function findHeader(rawHeaders: readonly string[], name: string): string | undefined {
  let found: string | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (isNamed(rawHeaders[i] as string, name)) found = found === undefined ? rawHeaders[i + 1] : `${found}, ${rawHeaders[i + 1]}`
  }
  return found
}

/** Whether a header has this name, which is given in lower case. */
export const isNamed = (name: string, lowerCase: string): boolean =>
  name === lowerCase || (name.length === lowerCase.length && name.toLowerCase() === lowerCase)
