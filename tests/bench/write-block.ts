import { readFileSync, writeFileSync } from 'node:fs'

/** Replaces what stands between the markers of a page, `<!-- name:begin -->` and `<!-- name:end -->`. */
export function writeBlock(page: URL, name: string, text: string): void {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`]
  const before = readFileSync(page, 'utf8')
  const [from, to] = [before.indexOf(begin), before.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${page.pathname} has no ${begin} with ${end} after it`)
  writeFileSync(page, `${before.slice(0, from)}${begin}\n\n${text}\n\n${before.slice(to)}`)
}
