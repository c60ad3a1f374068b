import type { GoalId, Group, LocalContender, Metrics, Pace, Running } from './contender.ts'
import { closedLoop, countMessages, type NextInput, oneByOne, timesOf } from './measure.ts'
import { startComlink, startPiscina, startPiscinaMove, startPoolifier, startTinypool, startWorkerpool } from './pools.ts'
import { startCoalesced, startRaw } from './raw.ts'
import { startShoalBackend } from './shoal.ts'
import { checkBytes, checkNumbers, checkObjects, makeObject, type Work } from './workload.ts'

type Start = () => Promise<Running> | Running

/** Answers what it was sent; travels to a replica by value. */
const echo = (request: Work): unknown => request.data

async function startShoalEcho(numReplicas = 1): Promise<Running> {
  const { handle, stop } = await startShoalBackend(echo, { numReplicas })
  return { call: (input) => handle.remote(input), stop }
}

async function startShoalMove(): Promise<Running> {
  const { handle, stop } = await startShoalBackend(echo)
  const call = (bytes: unknown): Promise<unknown> => handle.remote(bytes, undefined, [(bytes as Uint8Array<ArrayBuffer>).buffer])
  return { call, stop }
}

const number: NextInput = (index) => index
const object: NextInput = (index) => makeObject(index)

function noop(name: string, goals: readonly GoalId[], start: Start): LocalContender {
  const measure = async (pace: Pace): Promise<Metrics> => {
    const running = await start()
    await checkNumbers(running.call)
    await closedLoop(running.call, 64, pace.warmMs, number)
    await oneByOne(running.call, pace.warmMs / 4, number)
    const sequential = await oneByOne(running.call, pace.sequentialMs, number)
    await closedLoop(running.call, 64, pace.warmMs / 4, number)
    const loaded = await closedLoop(running.call, 64, pace.loadedMs, number)
    let counted = 0
    const messages = await countMessages(async () => {
      counted = (await closedLoop(running.call, 64, 60, number)).calls
    })
    await running.stop()
    return {
      ...timesOf(loaded, sequential),
      cpuMicrosPerCall: loaded.cpuMicrosPerCall,
      ...(messages > 0 ? { callsPerMessage: counted / messages } : {}),
    }
  }
  return { kind: 'local', name, goals, measure }
}

function objects(name: string, start: Start): LocalContender {
  const measure = async (pace: Pace): Promise<Metrics> => {
    const running = await start()
    await checkObjects(running.call)
    await closedLoop(running.call, 64, pace.warmMs, object)
    const loaded = await closedLoop(running.call, 64, pace.loadedMs, object)
    await running.stop()
    return { rate: loaded.rate, loadedP50: loaded.p50, loadedP99: loaded.p99, cpuMicrosPerCall: loaded.cpuMicrosPerCall }
  }
  return { kind: 'local', name, goals: ['G4'], measure }
}

/** Sixteen callers, each sending on the array it got back: 64 KB first, then 1 MB. */
function buffers(name: string, start: Start): LocalContender {
  const again =
    (bytes: number): NextInput =>
    (_, previous) =>
      previous ?? new Uint8Array(bytes)
  const measure = async (pace: Pace): Promise<Metrics> => {
    const running = await start()
    await checkBytes(running.call)
    await closedLoop(running.call, 16, pace.warmMs, again(65_536))
    const small = await closedLoop(running.call, 16, pace.loadedMs / 2, again(65_536))
    await closedLoop(running.call, 16, pace.warmMs / 2, again(1_048_576))
    const large = await closedLoop(running.call, 16, pace.loadedMs / 2, again(1_048_576))
    await running.stop()
    return {
      rate: small.rate,
      secondRate: large.rate,
      loadedP50: small.p50,
      loadedP99: small.p99,
      cpuMicrosPerCall: small.cpuMicrosPerCall,
    }
  }
  return { kind: 'local', name, goals: ['G5'], measure }
}

const one: readonly GoalId[] = ['G1', 'G3']
const oneAndTwo: readonly GoalId[] = ['G1', 'G2', 'G3']
const two: readonly GoalId[] = ['G2']

export const noopCalls: Group = {
  id: 'calls/noop',
  title: 'Worker call, no-op, 64 in flight and one by one',
  base: 'raw',
  rateTitle: 'calls/s',
  contenders: [
    noop('shoal', oneAndTwo, () => startShoalEcho(1)),
    noop('shoal /2', two, () => startShoalEcho(2)),
    noop('raw', oneAndTwo, () => startRaw('echo', 1)),
    noop('raw /2', two, () => startRaw('echo', 2)),
    noop('raw coalesced', one, () => startCoalesced(1)),
    noop('raw coalesced /2', two, () => startCoalesced(2)),
    noop('piscina tuned', one, () => startPiscina('echo', 1, 64)),
    noop('piscina tuned /2', two, () => startPiscina('echo', 2, 64)),
    noop('piscina', one, () => startPiscina('echo', 1)),
    noop('poolifier', one, () => startPoolifier('echo', 1)),
    noop('poolifier /2', two, () => startPoolifier('echo', 2)),
    noop('tinypool tuned', one, () => startTinypool('echo', 1)),
    noop('workerpool', one, () => startWorkerpool('echo')),
    noop('comlink', one, () => startComlink('echo')),
  ],
}

export const objectCalls: Group = {
  id: 'calls/object',
  title: 'Worker call, 1 KB object there and back, 64 in flight',
  base: 'raw',
  rateTitle: 'calls/s',
  contenders: [
    objects('shoal', () => startShoalEcho(1)),
    objects('raw', () => startRaw('echo')),
    objects('piscina tuned', () => startPiscina('echo', 1, 64)),
    objects('poolifier', () => startPoolifier('echo')),
    objects('tinypool tuned', () => startTinypool('echo')),
    objects('comlink', () => startComlink('echo')),
  ],
}

export const bufferCalls: Group = {
  id: 'calls/buffer',
  title: 'Worker call, typed array transferred there and back, 16 in flight',
  base: 'raw',
  rateTitle: '64 KB calls/s',
  secondRateTitle: '1 MB calls/s',
  contenders: [
    buffers('shoal', startShoalMove),
    buffers('raw', () => startRaw('move')),
    buffers('piscina move', () => startPiscinaMove(false)),
    buffers('piscina move tuned', () => startPiscinaMove(true)),
    buffers('comlink transfer', () => startComlink('move')),
  ],
}
