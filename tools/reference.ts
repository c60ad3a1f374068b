/** `npm run reference`: writes docs/reference from the code, so that it cannot lag; a test compares. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { METRICS } from '../core/api/metrics.ts'
import { ERROR_TABLE, type ErrorEntry } from '../core/base/error-table.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

/** Interfaces of options by page section, in the order in which a reader meets them. */
const OPTIONS: readonly (readonly [title: string, usedBy: string, file: string, name: string])[] = [
  ['StartOptions', '`serve.start(options)` on Node', 'node/index.ts', 'StartOptions'],
  ['StartOptions in a page', '`serve.start(options)` in a browser', 'browser/index.ts', 'StartOptions'],
  ['ConnectOptions', '`serve.connect(options)` on Node', 'node/index.ts', 'ConnectOptions'],
  ['HttpOptions', '`start({ http })`', 'core/gateway/http-options.ts', 'HttpOptions'],
  ['JoinOptions', '`serve.join(ticket, options)` on Node', 'node/index.ts', 'JoinOptions'],
  ['MeshOptions', '`start({ mesh })`', 'node/mesh-hub.ts', 'MeshOptions'],
  ['TicketOptions', '`client.createTicket(options)`', 'core/mesh/ticket.ts', 'TicketOptions'],
  ['CloseOptions', '`client.shutdown(options)`', 'core/api/client.ts', 'CloseOptions'],
  ['BackendOptions', '`client.createBackend(tag, target, options)`', 'core/api/client.ts', 'BackendOptions'],
  [
    'BackendConfig',
    '`createBackend(tag, target, { config })`, `updateBackendConfig(tag, config)`',
    'core/model/backend-config.ts',
    'BackendConfig',
  ],
  ['AutoscalingConfig', '`config.autoscaling`', 'core/model/autoscaling-config.ts', 'AutoscalingConfig'],
  ['ReplicaOptions', '`createBackend(tag, target, { replicaOptions })`', 'core/model/replica-options.ts', 'ReplicaOptions'],
  ['Resources', '`replicaOptions.resources`, `start({ resources })`', 'core/model/replica-options.ts', 'Resources'],
  ['Placement', '`replicaOptions.placement`', 'core/model/replica-options.ts', 'Placement'],
  ['EndpointOptions', '`client.createEndpoint(name, options)`', 'core/model/endpoint-config.ts', 'EndpointOptions'],
  ['HandleOptions', '`handle.options(options)`', 'core/router/handle.ts', 'HandleOptions'],
  ['WaitOptions', '`serve.wait(responses, options)`', 'core/api/wait.ts', 'WaitOptions'],
  ['AppDescription', '`serve.defineApp(description)`', 'core/model/app.ts', 'AppDescription'],
  ['AppBackend', '`defineApp({ backends: { [tag]: ... } })`', 'core/model/app.ts', 'AppBackend'],
  ['AppEndpoint', '`defineApp({ endpoints: { [name]: ... } })`', 'core/model/app.ts', 'AppEndpoint'],
]

const NOTE = '<!-- Written by `npm run reference` from the code. Do not edit. -->'

/** One field of an interface. */
export interface Field {
  readonly name: string
  readonly type: string
  readonly isOptional: boolean
  /** What the doc comment says, without its `@default`. */
  readonly text: string
  readonly byDefault: string | undefined
}

/** The pages by path, as they should be. */
export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/reference/errors.md', errorsPage()],
    ['docs/reference/options.md', optionsPage()],
    ['docs/reference/metrics.md', metricsPage()],
  ])
}

function errorsPage(): string {
  const sections = Object.entries(ERROR_TABLE).map(([code, entry]: [string, ErrorEntry]) => {
    const facts = [
      `HTTP status ${entry.httpStatus}`,
      entry.retryable ? 'sending it again a little later may help' : 'sending it again does not help',
      ...(entry.kind === undefined ? [] : [`also a \`${entry.kind}\``]),
    ]
    return `## ${code}\n\n${entry.sentence}\n\n${facts.join(' · ')}\n`
  })
  return `# Error codes

${NOTE}

Every error of Shoal is a \`ServeError\` with a \`code\` from this table. Ask with \`serve.isServeError(error, 'ERR_TIMEOUT')\`: it holds across threads,
processes and copies of the package. An error about a call also has \`outcome\`: \`'not-started'\`, \`'started-unknown'\` or \`'completed'\`.
[Errors and retries](../concepts/errors-and-retries.md) says what to do with it. Over HTTP an error is \`application/problem+json\` with the same \`code\`.
\`serve.ERROR_TABLE\` is this table in code.

${sections.join('\n')}`
}

function optionsPage(): string {
  const read = OPTIONS.map(([title, usedBy, file, name]) => {
    const { text, fields } = readInterface(readFileSync(join(ROOT, file), 'utf8'), name, file)
    return { title, usedBy, text, fields }
  })
  /** A field without words of its own is explained by its type, or where an earlier interface has the same one. */
  const meaningOf = (title: string, { name, type, text }: Field): string => {
    if (text !== '') return text
    const other =
      read.find((one) => new RegExp(`^(?:Start)?${one.title}$`).test(type)) ??
      read.find((one) => one.title !== title && one.fields.some((field) => field.name === name && field.text !== ''))
    return other === undefined ? '' : `See [${other.title}](#${anchorOf(other.title)}).`
  }
  const sections = read.map(({ title, usedBy, text, fields }) => {
    const intro = [`Used by ${usedBy}.`, text].filter((part) => part !== '').join(' ')
    const rows = fields.map((field) => [`\`${field.name}\``, `\`${field.type}\``, defaultOf(field), meaningOf(title, field)])
    return `## ${title}\n\n${intro}\n\n${table([['option', 'type', 'default', 'meaning'], ...rows])}\n`
  })
  return `# Options

${NOTE}

Times are in milliseconds (\`...Ms\`), sizes in bytes (\`...Bytes\`), proportions from 0 to 1. An unknown name or a value out of range fails with
[\`ERR_INVALID_CONFIG\`](errors.md#err_invalid_config), which names the nearest valid one.

${sections.join('\n')}`
}

function metricsPage(): string {
  const rows = Object.entries(METRICS).map(([name, [kind, help]]) => [`\`${name}\``, kind, help])
  return `# Metrics

${NOTE}

\`GET /-/metrics\` gives these in the text format of Prometheus. Metrics of a backend have the label \`backend\`, of an endpoint \`endpoint\`, of answers
\`status\`. Received = admitted + rejected; at rest, admitted = succeeded + failed + cancelled.

${table([['metric', 'kind', 'meaning'], ...rows])}
`
}

/** Reads one interface out of a source: its doc comment and its fields with theirs. Written for the style of this house; throws when it is lost. */
export function readInterface(source: string, name: string, file: string): { readonly text: string; readonly fields: readonly Field[] } {
  const start = new RegExp(`^export interface ${name}\\b[^{]*\\{\\n`, 'm').exec(source)
  if (start === null) throw new Error(`${file} has no interface ${name}`)
  const above = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n$/.exec(source.slice(0, start.index))
  const bodyStart = start.index + start[0].length
  const body = source.slice(bodyStart, source.indexOf('\n}', bodyStart) + 1)
  const fields: Field[] = []
  let comment = ''
  for (const part of body.matchAll(/\/\*\*([\s\S]*?)\*\/|^ {2}readonly (\w+)(\?)?: ([^\n]+)\n/gm)) {
    if (part[1] !== undefined) {
      comment = plain(part[1])
      continue
    }
    const [text, byDefault] = comment.split(/\s*@default\s+/)
    fields.push({
      name: part[2] ?? '',
      type: (part[4] ?? '').replace(/ \| undefined$/, ''),
      isOptional: part[3] === '?',
      text: text ?? '',
      byDefault,
    })
    comment = ''
  }
  const expected = body.match(/^ {2}(?!\/\*\*| \*|\/\/)\S/gm)?.length ?? 0
  if (fields.length === 0 || fields.length !== expected) throw new Error(`${file}: ${expected} fields in ${name}, ${fields.length} read`)
  return { text: above === null ? '' : plain(above[1] ?? ''), fields }
}

/** The text of a doc comment in one line; links become code. */
function plain(comment: string): string {
  return comment
    .split('\n')
    .map((line) => line.replace(/^\s*\*? ?/, '').trim())
    .join(' ')
    .replace(/\{@link (\w+)\}/g, '`$1`')
    .trim()
}

const defaultOf = ({ byDefault, isOptional, text }: Field): string =>
  byDefault ?? (isOptional && !text.includes('Required.') ? '' : 'required')

const anchorOf = (title: string): string => title.toLowerCase().replaceAll(' ', '-')

/** A table with its columns aligned, as the formatter of the house leaves it. */
function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = (cells[0] ?? []).map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)))
  const lineOf = (row: readonly string[]): string => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [head = [], ...rest] = cells
  return [head, widths.map((width) => '-'.repeat(width)), ...rest].map(lineOf).join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of referencePages()) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true })
    writeFileSync(join(ROOT, path), text)
    console.log(`wrote ${path}`)
  }
}
