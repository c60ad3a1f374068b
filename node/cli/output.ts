import { styleText } from 'node:util'
import { isServeError } from '../../core/base/index.ts'

/** Colours for people; plain where the stream is no terminal, or `NO_COLOR` is set. */
export const dim = (text: string): string => styleText('dim', text, { stream: process.stdout })
export const bold = (text: string): string => styleText('bold', text, { stream: process.stdout })
export const good = (text: string): string => styleText('green', text, { stream: process.stdout })
export const bad = (text: string): string => styleText('red', text, { stream: process.stdout })

/** Writes a line, and waits while a slow reader is behind. A reader that has gone ends the program without a word. */
export function print(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(text)) resolve()
    else process.stdout.once('drain', resolve)
  })
}

export function printLine(text: string): Promise<void> {
  return print(`${text}\n`)
}

/** One line: code and message. Line breaks inside become spaces. */
export function describeError(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const code = isServeError(error) ? error.code : codeOf(error)
  return `${code === undefined ? '' : `${code}: `}${message}`.replaceAll(/\s*\n\s*/g, ' ')
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/** Columns as wide as their widest cell; numbers to the right. The first row is the head. */
export function table(rows: readonly (readonly string[])[], rightAligned: readonly number[] = []): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map((row, at) => {
      const cells = row.map((cell, column) => {
        const width = widths[column] ?? 0
        const padded = rightAligned.includes(column) ? cell.padStart(width) : cell.padEnd(width)
        return at === 0 ? dim(padded) : padded
      })
      return `  ${cells.join('  ')}`.trimEnd()
    })
    .join('\n')
}
