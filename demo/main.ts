import { parseArgs } from 'node:util'
import { pino } from 'pino'
import * as serve from '../node/index.ts'
import type { DigitAnswer } from './digits/digits.ts'
import { serveDigits } from './digits/serve.ts'

type Client = Awaited<ReturnType<typeof serve.start>>

const DEFAULT_PORT = 8000
const USAGE =
  'usage: npm start -- [--port PORT] [--json]   (PORT: 0 to 65535, 0 is any free one; the environment variable PORT does the same)'

/** A 1 as the 8x8 pixels of the test images, for the call that shows that all is well. */
const WARM_UP_PIXELS = [
  [0, 0, 0, 11, 14, 8, 0, 0],
  ...new Array<number[]>(6).fill([0, 0, 2, 14, 16, 6, 0, 0]),
  [0, 0, 0, 11, 14, 8, 0, 0],
].flat()

interface Options {
  /** 0 to 65535. */
  readonly port: number
  readonly json: boolean
}

process.exitCode = await main()

/** Gives the exit code: 0, 1 failed, 2 usage. */
async function main(): Promise<number> {
  const options = readOptions()
  if (options === undefined) {
    console.error(USAGE)
    return 2
  }
  const stopped = whenAskedToStop()
  let client: Client | undefined
  try {
    // What a reader of the screen wants to know is printed below; warnings and errors still come to stderr.
    client = await serve.start({ http: { port: options.port }, logger: pino({ name: 'digits', level: 'warn' }, pino.destination(2)) })
    await serveDigits(client)
    const answer = (await client.getHandle('digits').remote({ pixels: WARM_UP_PIXELS })) as DigitAnswer
    announce(options, client.http?.url ?? '', answer)
    await stopped
    if (!options.json) console.log('\nFinishing what is under way; press Ctrl+C again to stop at once.')
    await client.shutdown()
    return 0
  } catch (error) {
    console.error(explain(error, options.port))
    await client?.shutdown().catch(() => undefined)
    return 1
  }
}

/** From the arguments, else the environment; undefined when they make no sense. */
function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({ options: { port: { type: 'string' }, json: { type: 'boolean', default: false } } })
    const port = Number(values.port ?? (process.env.PORT || DEFAULT_PORT))
    return Number.isInteger(port) && port >= 0 && port <= 65_535 ? { port, json: values.json } : undefined
  } catch {
    return undefined
  }
}

/** Settles at the first SIGINT or SIGTERM; from then on a second one ends the process at once, with the code a shell expects. */
function whenAskedToStop(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false
    const onSignal = (number: number) => (): void => {
      if (asked) process.exit(128 + number)
      asked = true
      resolve()
    }
    process.on('SIGINT', onSignal(2))
    process.on('SIGTERM', onSignal(15))
  })
}

function announce({ json }: Options, url: string, warmUp: DigitAnswer): void {
  const base = url.replace(/\/$/, '')
  const example = `curl ${base}/digits -H 'content-type: application/json' -d '${JSON.stringify({ pixels: WARM_UP_PIXELS })}'`
  if (json) {
    console.log(JSON.stringify({ url: `${base}/`, digits: `${base}/digits`, routes: `${base}/-/routes`, warmUp }))
    return
  }
  console.log(
    [
      '',
      `  Shoal is up. Draw a digit at   ${base}/`,
      `  what is served                 ${base}/-/routes`,
      `  how it goes                    ${base}/-/status`,
      '',
      `  A first image went through the ${warmUp.version} model, which reads a ${warmUp.digit}. The same from a shell:`,
      `  ${example}`,
      '',
      '  Ctrl+C stops it.',
      '',
    ].join('\n'),
  )
}

function explain(error: unknown, port: number): string {
  if (serve.isServeError(error, 'ERR_HTTP_LISTEN')) {
    return `Port ${port} is not free (${error.message}). Take another: npm start -- --port ${port === 0 ? DEFAULT_PORT : Math.min(port + 1, 65_535)}, or --port 0 for any free one.`
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
