import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HttpProbe } from './contender.ts'
import { closedLoop, oneByOne } from './measure.ts'
import type { Processes } from './processes.ts'

export interface LoadResult {
  readonly requests: number
  readonly rate: number
  /** Microseconds. */
  readonly p50: number
  readonly p99: number
}

/** Puts HTTP load on a URL from a process of its own. */
export interface LoadGenerator {
  readonly name: 'wrk' | 'autocannon'
  /** Rejects when any answer was not 2xx or any connection failed. */
  run(url: string, probe: HttpProbe, connections: number, seconds: number): Promise<LoadResult>
}

/** wrk when asked for or found on the PATH, else autocannon, which comes with the peers. */
export function chooseLoadGenerator(wanted: 'wrk' | 'autocannon' | undefined, processes: Processes): LoadGenerator {
  const found = spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined
  if (wanted === 'wrk' && !found) throw new Error('wrk is not on the PATH; leave --load out to use autocannon')
  return (wanted ?? (found ? 'wrk' : 'autocannon')) === 'wrk' ? wrk(processes) : autocannon(processes)
}

function wrk(processes: Processes): LoadGenerator {
  const run = async (url: string, probe: HttpProbe, connections: number, seconds: number): Promise<LoadResult> => {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-bench-'))
    const script = join(folder, 'probe.lua')
    writeFileSync(script, luaFor(probe))
    try {
      const output = await capture('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url + probe.path], processes)
      const line = output.split('\n').find((text) => text.startsWith('{'))
      const seen = JSON.parse(line ?? '{}') as { requests: number; micros: number; p50: number; p99: number; errors: number }
      if (seen.errors !== 0) throw new Error(`wrk saw ${seen.errors} failed requests of ${seen.requests}`)
      return { requests: seen.requests, rate: (seen.requests * 1e6) / seen.micros, p50: seen.p50, p99: seen.p99 }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return { name: 'wrk', run }
}

function luaFor(probe: HttpProbe): string {
  const body = probe.body === undefined ? '' : `wrk.body = [==[${probe.body}]==]\nwrk.headers["Content-Type"] = "application/json"\n`
  return `wrk.method = "${probe.method}"
${body}done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"errors":%d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`
}

function autocannon(processes: Processes): LoadGenerator {
  const program = fileURLToPath(new URL('./node_modules/autocannon/autocannon.js', import.meta.url))
  const run = async (url: string, probe: HttpProbe, connections: number, seconds: number): Promise<LoadResult> => {
    const body = probe.body === undefined ? [] : ['-b', probe.body, '-H', 'content-type=application/json']
    const args = [program, '-j', '-n', '-c', String(connections), '-d', String(seconds), '-m', probe.method, ...body, url + probe.path]
    const seen = JSON.parse(await capture(process.execPath, args, processes)) as {
      requests: { total: number }
      duration: number
      latency: { p50: number; p99: number }
      non2xx: number
      errors: number
    }
    if (seen.non2xx + seen.errors !== 0)
      throw new Error(`autocannon saw ${seen.non2xx + seen.errors} failed requests of ${seen.requests.total}`)
    const { total } = seen.requests
    return { requests: total, rate: total / seen.duration, p50: seen.latency.p50 * 1_000, p99: seen.latency.p99 * 1_000 }
  }
  return { name: 'autocannon', run }
}

async function capture(program: string, args: readonly string[], processes: Processes): Promise<string> {
  const child = processes.add(spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  let output = ''
  let complaint = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += String(chunk)
  })
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += String(chunk)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0) throw new Error(`the load generator ended with ${code}: ${complaint.trim()}`)
  return output
}

/**
 * Asks once and compares the answer, warms the server with 32 connections from this process for `warmMs`, then asks one by one over one
 * connection for `sequentialMs`. The latencies in microseconds have this client's own cost in them, the same for every contender.
 */
export async function checkAndWarm(
  url: string,
  probe: HttpProbe,
  warmMs: number,
  sequentialMs: number,
): Promise<{ p50: number; p99: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const ask = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers =
        probe.body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(probe.body) }
      const sent = request(url + probe.path, { agent, method: probe.method, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => {
          if (response.statusCode === 200) resolve(text)
          else reject(new Error(`answered ${response.statusCode}: ${text.slice(0, 300)}`))
        })
        response.on('error', reject)
      })
      sent.on('error', reject)
      sent.end(probe.body)
    })
  try {
    const answer = await ask()
    if (normal(answer) !== normal(probe.expected)) throw new Error(`answered ${answer.slice(0, 300)}`)
    await closedLoop(ask, 32, warmMs, () => undefined)
    return await oneByOne(ask, sequentialMs, () => undefined)
  } finally {
    agent.destroy()
  }
}

function normal(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}
