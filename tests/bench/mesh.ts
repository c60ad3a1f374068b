import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { multiaddr } from '@multiformats/multiaddr'
import type { Group, LocalContender, Metrics, Pace, Running } from './contender.ts'
import { free } from './cpu.ts'
import { Correlator, FrameGatherer, FrameSplitter, frameOf } from './frames.ts'
import { closedLoop, oneByOne, timesOf } from './measure.ts'
import { ECHO_ONCE_PROTOCOL, ECHO_PROTOCOL, MAX_STREAMS, startLibp2p } from './mesh-node.ts'
import { type MoleculerModule, type MsgpackrModule, moleculerOptions, peer, type WsModule } from './peers.ts'
import { loadShoal, type ShoalClient, startShoal } from './shoal.ts'
import { percentile } from './statistics.ts'
import type { MeshServerKind } from './workers/mesh-server.ts'
import { burn, type Work } from './workload.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

/** 100 bytes of text, another for every call. */
const text = (index: number): string => `${index} `.padEnd(100, 'x')

/** Starts the other process and waits for its address. */
async function startServer(kind: MeshServerKind, detail = ''): Promise<{ readonly address: string; stop(): void }> {
  const child = forkWorker('mesh-server.ts', kind, detail)
  const [address] = (await Promise.race([once(child, 'message'), failedExit(child)])) as [string]
  return { address, stop: () => child.disconnect() }
}

function forkWorker(file: string, kind = '-', detail = '-'): ChildProcess {
  const url = new URL(`./workers/${file}`, import.meta.url)
  return fork(url, [kind, detail, '-', process.argv[5] ?? ''], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
}

async function failedExit(child: ChildProcess): Promise<never> {
  const [code] = await once(child, 'exit')
  throw new Error(`the other process ended with ${code} before it was ready`)
}

async function startNet(): Promise<Running> {
  const { pack, unpack } = await peer<MsgpackrModule>('msgpackr')
  const server = await startServer('net')
  const socket = connect(Number(server.address), '127.0.0.1').setNoDelay(true)
  await once(socket, 'connect')
  const calls = new Correlator()
  const out = new FrameGatherer((bytes) => socket.write(bytes))
  const splitter = new FrameSplitter((message) => settle(calls, unpack(message)))
  socket.on('data', (chunk) => splitter.push(chunk))
  return { call: (x) => calls.call((id) => out.add(pack([id, x]))), stop: () => server.stop() }
}

async function startWs(): Promise<Running> {
  const [{ pack, unpack }, { WebSocket }] = await Promise.all([peer<MsgpackrModule>('msgpackr'), peer<WsModule>('ws')])
  const server = await startServer('ws')
  const socket = new WebSocket(`ws://127.0.0.1:${server.address}`, { perMessageDeflate: false })
  await new Promise<void>((resolve) => socket.on('open', () => resolve()))
  const calls = new Correlator()
  socket.on('message', (data) => settle(calls, unpack(data)))
  return { call: (x) => calls.call((id) => socket.send(pack([id, x]))), stop: () => server.stop() }
}

/** Static addresses, no discovery; its serializer is JSON, which is its default. */
async function startMoleculer(): Promise<Running> {
  const { ServiceBroker } = await peer<MoleculerModule>('moleculer')
  const ports = `${await freePort()},${await freePort()}`
  const server = await startServer('moleculer', ports)
  const broker = new ServiceBroker(moleculerOptions('caller', ports))
  await broker.start()
  await broker.waitForServices('bench', 20_000)
  return { call: (x) => broker.call('bench.echo', { x }), stop: () => server.stop() }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** One stream for all calls, one send per frame. */
async function startLibp2pFrames(): Promise<Running> {
  const { pack, unpack } = await peer<MsgpackrModule>('msgpackr')
  const server = await startServer('libp2p')
  const node = await startLibp2p([])
  const stream = await node.dialProtocol(multiaddr(server.address), ECHO_PROTOCOL, { maxOutboundStreams: MAX_STREAMS })
  const calls = new Correlator()
  const splitter = new FrameSplitter((message) => settle(calls, unpack(message)))
  stream.addEventListener('message', ({ data }) => splitter.push(data.subarray()))
  return { call: (x) => calls.call((id) => stream.send(frameOf(pack([id, x])))), stop: () => server.stop() }
}

/** A new stream for every call. */
async function startLibp2pStreams(): Promise<Running> {
  const { pack, unpack } = await peer<MsgpackrModule>('msgpackr')
  const server = await startServer('libp2p')
  const node = await startLibp2p([])
  const connection = await node.dial(multiaddr(server.address))
  const call = async (x: unknown): Promise<unknown> => {
    const stream = await connection.newStream(ECHO_ONCE_PROTOCOL, { maxOutboundStreams: MAX_STREAMS })
    const answer = new Promise<unknown>((resolve) => {
      const splitter = new FrameSplitter((message) => resolve(unpack(message)))
      stream.addEventListener('message', ({ data }) => splitter.push(data.subarray()))
    })
    stream.send(frameOf(pack(x)))
    const result = await answer
    stream.close().catch(() => {})
    return result
  }
  return { call, stop: () => server.stop() }
}

/** The replica runs in the process that started Shoal, the caller in one that joined and hosts nothing. */
async function startJoined(isolation: 'inline' | 'thread'): Promise<Running> {
  const server = await startServer('shoal', isolation)
  const { join } = await loadShoal()
  const client = await join(server.address, { roles: ['caller'], logger: quiet })
  const handle = client.getHandle('bench')
  return { call: (x) => handle.remote(x), stop: () => server.stop() }
}

function settle(calls: Correlator, message: unknown): void {
  const [id, answer] = message as [number, unknown]
  calls.settle(id, answer)
}

function meshCalls(name: string, start: () => Promise<Running>): LocalContender {
  const measure = async (pace: Pace): Promise<Metrics> => {
    const running = await start()
    const inputs = [0, 1, 7, 42, 1_000_000].map(text)
    deepStrictEqual(await Promise.all(inputs.map((input) => running.call(input))), inputs, `${name} answers wrong`)
    await closedLoop(running.call, 64, 2 * pace.warmMs, text)
    // Ciphers and codecs take thousands of calls until they are compiled.
    await oneByOne(running.call, 4 * pace.warmMs, text)
    const sequential = await oneByOne(running.call, pace.sequentialMs, text)
    await closedLoop(running.call, 64, pace.warmMs / 4, text)
    const loaded = await closedLoop(running.call, 64, pace.loadedMs, text)
    await running.stop()
    return {
      ...timesOf(loaded, sequential),
      cpuMicrosPerCall: loaded.cpuMicrosPerCall,
    }
  }
  return { kind: 'local', name, goals: ['G12', 'G13'], measure }
}

const JOINS = 5

/** Median time from `join` in a loaded process to the first answer of a replica in it. */
const joining: LocalContender = {
  kind: 'local',
  name: 'shoal join',
  goals: ['G12'],
  measure: async () => {
    const client = await startShoal({ http: false, mesh: true, logger: quiet })
    await startBackend(client, 'pid', () => process.pid, 2)
    const times: JoinTimes[] = []
    for (let i = 0; i < JOINS; i++) {
      const child = await startJoiner()
      times.push(await joinWith(client, child))
      child.kill()
      while (Object.keys((await client.status()).nodes).length > 1) await delay(10)
    }
    await client.close()
    const median = (name: keyof JoinTimes): number =>
      percentile(
        times.map((one) => one[name]),
        0.5,
      )
    return { joinedMs: median('joinedMs'), servedMs: median('servedMs') }
  },
}

interface JoinTimes {
  readonly joinedMs: number
  readonly servedMs: number
}

async function startBackend(client: ShoalClient, tag: string, target: unknown, numReplicas: number): Promise<void> {
  await client.createBackend(tag, target, { config: { numReplicas } })
  await client.createEndpoint(tag, { backend: tag })
}

async function startJoiner(): Promise<ChildProcess> {
  const child = forkWorker('mesh-joiner.ts')
  await Promise.race([once(child, 'message'), failedExit(child)])
  return child
}

/** Lets the child join, and waits until a replica of the backend `pid` answered there. */
async function joinWith(client: ShoalClient, child: ChildProcess): Promise<JoinTimes> {
  child.send(await client.createTicket())
  const [times] = (await once(child, 'message')) as [JoinTimes]
  return times
}

/** Tells which process did the work. Self-contained. */
function burnHere(request: Work): [pid: number, hash: number] {
  const turns = Number(request.data)
  let hash = 17
  for (let turn = 0; turn < turns; turn++) hash = Math.imul(hash ^ turn, 2_654_435_761) ^ (hash >>> 13)
  return [process.pid, hash]
}

/** One replica in each process; first with none joined, then with `joiners`, so that both rates see the same machine. */
function scaleOut(joiners: number): LocalContender {
  const measure = async (pace: Pace): Promise<Metrics> => {
    const client = await startShoal({ http: false, mesh: true, logger: quiet })
    await startBackend(client, 'bench', burnHere, 1)
    await startBackend(client, 'pid', () => process.pid, 2 + joiners)
    const handle = client.getHandle('bench')
    const call = (turns: unknown): Promise<unknown> => handle.remote(turns)
    strictEqual(((await call(1_000)) as readonly unknown[])[1], burn({ data: 1_000 }), 'Shoal answers wrong')
    const rate = async (): Promise<number> => {
      await closedLoop(call, 12, pace.warmMs, () => pace.burnTurns)
      return (await closedLoop(call, 12, 2 * pace.loadedMs, () => pace.burnTurns)).rate
    }
    const alone = await rate()
    const children = await Promise.all(Array.from({ length: joiners }, startJoiner))
    for (const child of children) await joinWith(client, child)
    await client.updateBackendConfig('bench', { numReplicas: 1 + joiners })
    const pids = async (): Promise<number> => {
      const answers = (await Promise.all(Array.from({ length: 40 }, () => call(10_000)))) as [number, number][]
      return new Set(answers.map(([pid]) => pid)).size
    }
    while ((await pids()) < 1 + joiners) await delay(20)
    const together = await rate()
    for (const child of children) child.kill()
    await client.close()
    return { rate: alone, secondRate: together, efficiency: together / alone / Math.min(1 + joiners, availableParallelism()) }
  }
  return { kind: 'local', name: `shoal, ${joiners} joined`, goals: ['SCALE-OUT'], measure }
}

export const mesh: Group = {
  id: 'mesh',
  title: 'Mesh call between two processes, 100 B, 64 in flight and one by one; CPU of the caller',
  base: 'moleculer TCP',
  rateTitle: 'calls/s',
  contenders: [
    meshCalls('shoal inline', () => startJoined('inline')),
    meshCalls('shoal thread', () => startJoined('thread')),
    meshCalls('net + msgpackr, gathered', startNet),
    meshCalls('ws + msgpackr', startWs),
    meshCalls('moleculer TCP', startMoleculer),
    meshCalls('libp2p, one send per frame', startLibp2pFrames),
    meshCalls('libp2p, one stream per call', startLibp2pStreams),
  ],
}

export const meshJoin: Group = {
  id: 'mesh/join',
  title: 'From join to the first answer of the joiner, median of 5 joins',
  base: 'shoal join',
  rateTitle: 'calls/s',
  contenders: [joining],
}

export const meshScaleOut: Group = {
  id: 'scale-out',
  title: 'CPU-bound, about 5 ms a call, 12 in flight, one replica in each process',
  base: free.name,
  rateTitle: 'none joined (1 thread) calls/s',
  secondRateTitle: 'joined (2 threads) calls/s',
  contenders: [free, scaleOut(0), scaleOut(1), scaleOut(2)],
}
