import { type Clock, type Random, ServeError, type Stop } from '../base/index.ts'
import { exchangeIds } from './memory-handshake.ts'
import type { ByteChannel, ChannelEnds, ChannelReader, PeerConnection, PeerTransport } from './peer-transport.ts'

/** Bytes that may lie between two ends before `send` says no. */
const DEFAULT_WINDOW_BYTES = 262_144

export interface MemoryNetworkOptions {
  /** How long bytes travel one way, in milliseconds; drawn anew for each send, order is kept. @default [0, 0] */
  readonly delayMs?: readonly [least: number, most: number]
  /** Bytes under way and unread in one direction before `send` returns false. @default 262144 */
  readonly windowBytes?: number
}

/**
 * A network inside this thread, for tests and simulations: delays are drawn from `random`, time is the clock's, so that a seed tells the whole story.
 * A partition holds bytes back, as a cut cable does under TCP; `cut` breaks connections.
 */
export class MemoryNetwork {
  readonly #clock: Clock
  readonly #random: Random
  readonly #delayMs: readonly [number, number]
  readonly #windowBytes: number
  readonly #transports = new Map<string, MemoryTransport>()
  readonly #pairs = new Set<Pair>()
  readonly #walls = new Set<string>()

  constructor(options: MemoryNetworkOptions, clock: Clock, random: Random) {
    this.#delayMs = options.delayMs ?? [0, 0]
    this.#windowBytes = options.windowBytes ?? DEFAULT_WINDOW_BYTES
    this.#clock = clock
    this.#random = random
  }

  /** A peer of this network, listening under `memory/<peerId>`, or nowhere. @param host where its connections come from; none: this machine */
  join(peerId: string, { listens = true, host }: { readonly listens?: boolean; readonly host?: string | undefined } = {}): PeerTransport {
    const transport = new MemoryTransport(
      peerId,
      { listens, host },
      (address, signal) => this.#dial(peerId, address, signal),
      () => this.#leave(peerId),
    )
    this.#transports.set(peerId, transport)
    return transport
  }

  /** Nothing passes between the two any more; neither is told. */
  partition(a: string, b: string): void {
    this.partitionOneWay(a, b)
    this.partitionOneWay(b, a)
  }

  /** Nothing passes from the first to the second any more; the other way is open. */
  partitionOneWay(from: string, to: string): void {
    this.#walls.add(wall(from, to))
  }

  /** Takes every partition away; what was held back goes on. */
  heal(): void {
    this.#walls.clear()
    for (const pair of this.#pairs) pair.release()
  }

  /** Breaks the connections between the two; what was under way is lost. */
  cut(a: string, b: string): void {
    for (const pair of [...this.#pairs]) if (pair.joins(a, b)) pair.break('the connection was cut')
  }

  /** The peer is gone without a word; its connections break. */
  crash(peerId: string): void {
    this.#transports.delete(peerId)
    for (const pair of [...this.#pairs]) if (pair.touches(peerId)) pair.break(`peer ${peerId} crashed`)
  }

  async #dial(from: string, address: string, signal: AbortSignal): Promise<PeerConnection> {
    signal.throwIfAborted()
    const to = address.replace(/^memory\//, '')
    const dialler = this.#transports.get(from)
    const target = dialler === undefined ? undefined : this.#transports.get(to)
    if (target?.listens !== true || this.#walls.has(wall(from, to)) || this.#walls.has(wall(to, from)))
      throw unreachable(`nobody answers at ${address}`)
    const pair = new Pair([from, to], {
      windowBytes: this.#windowBytes,
      isHeldTo: (peerId) => this.#walls.has(peerId === to ? wall(from, to) : wall(to, from)),
      delay: () => this.#delayMs[0] + this.#random() * (this.#delayMs[1] - this.#delayMs[0]),
      clock: this.#clock,
      onEnd: () => this.#pairs.delete(pair),
    })
    this.#pairs.add(pair)
    const [dialled, accepted] = pair.ends
    if (!target.accept({ peerId: from, isOutbound: false, channel: accepted, host: dialler?.host })) {
      pair.break('the connection was refused')
      throw unreachable(`peer ${to} refuses connections`)
    }
    return { peerId: to, isOutbound: true, channel: dialled }
  }

  #leave(peerId: string): void {
    this.#transports.delete(peerId)
    for (const pair of [...this.#pairs]) if (pair.touches(peerId)) for (const end of pair.ends) end.close()
  }
}

class MemoryTransport implements PeerTransport {
  readonly peerId: string
  readonly addresses: readonly string[]
  readonly dial: PeerTransport['dial']
  readonly listens: boolean
  readonly host: string | undefined
  readonly #leave: () => void
  readonly #listeners = new Set<(connection: PeerConnection) => void>()

  constructor(
    peerId: string,
    { listens, host }: { readonly listens: boolean; readonly host: string | undefined },
    dial: PeerTransport['dial'],
    leave: () => void,
  ) {
    this.peerId = peerId
    this.listens = listens
    this.host = host
    this.addresses = listens ? [`memory/${peerId}`] : []
    this.dial = dial
    this.#leave = leave
  }

  onConnection(listener: (connection: PeerConnection) => void): Stop {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  accept(connection: PeerConnection): boolean {
    const listeners = [...this.#listeners]
    for (const listener of listeners) listener(connection)
    return listeners.length > 0
  }

  /** Believes what the other end says: this network has no keys. */
  async secure(channel: ByteChannel, { peerId, isOutbound, via }: ChannelEnds, signal: AbortSignal): Promise<PeerConnection> {
    signal.throwIfAborted()
    const met = await exchangeIds(channel, this.peerId, signal)
    if (met.otherId === peerId) return { peerId, isOutbound, channel: met.channel, via }
    channel.abort('another peer is there')
    throw unreachable(`through ${via} peer ${met.otherId} answers, not ${peerId}`)
  }

  async close(): Promise<void> {
    this.#leave()
  }
}

interface PairSeams {
  readonly windowBytes: number
  /** Whether bytes on their way to that end are held back. */
  readonly isHeldTo: (peerId: string) => boolean
  readonly delay: () => number
  readonly clock: Clock
  readonly onEnd: () => void
}

/** The two ends of one connection. */
class Pair {
  readonly ends: readonly [MemoryChannel, MemoryChannel]
  readonly #peers: readonly [string, string]

  constructor(peers: readonly [string, string], seams: PairSeams) {
    this.#peers = peers
    this.ends = [new MemoryChannel(peers[0], seams), new MemoryChannel(peers[1], seams)]
    this.ends[0].connect(this.ends[1])
    this.ends[1].connect(this.ends[0])
  }

  joins(a: string, b: string): boolean {
    return this.touches(a) && this.touches(b)
  }

  touches(peerId: string): boolean {
    return this.#peers.includes(peerId)
  }

  break(reason: string): void {
    for (const end of this.ends) end.break(reason)
  }

  release(): void {
    for (const end of this.ends) end.release()
  }
}

type Arrival = Uint8Array | 'end'

class MemoryChannel implements ByteChannel {
  readonly #seams: PairSeams
  /** Whose end it is. */
  readonly #owner: string
  #peer: MemoryChannel | undefined
  #reader: ChannelReader | undefined
  /** Under way to this end, in order, each with the time it is due. */
  #underWay: { readonly atMs: number; readonly arrival: Arrival }[] = []
  /** Arrived and not yet read. */
  #unread: Uint8Array[] = []
  #windowUsed = 0
  #needsDrain = false
  #paused = false
  #lastDueMs = 0
  /** Set once: the error with which the other side or the network ended it, or null for a clean end. */
  #ended: ServeError | null | undefined
  #toldEnd = false
  #stopTimer: Stop | undefined

  constructor(owner: string, seams: PairSeams) {
    this.#owner = owner
    this.#seams = seams
  }

  connect(peer: MemoryChannel): void {
    this.#peer = peer
  }

  get isWritable(): boolean {
    return !this.#needsDrain
  }

  send(bytes: Uint8Array): boolean {
    const peer = this.#peer
    if (this.#ended !== undefined || peer === undefined || bytes.byteLength === 0) return this.isWritable
    peer.#windowUsed += bytes.byteLength
    if (peer.#windowUsed > this.#seams.windowBytes) this.#needsDrain = true
    peer.#take(bytes)
    return this.isWritable
  }

  listen(reader: ChannelReader): void {
    this.#reader = reader
    this.#arm()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#arm()
  }

  close(): void {
    if (this.#ended !== undefined) return
    if (this.#peer !== undefined) this.#peer.#take('end')
    this.#drop()
    this.#finish(null)
  }

  abort(reason: string): void {
    if (this.#ended !== undefined) return
    this.#peer?.break(`the other side gave up (${reason})`)
    this.#drop()
    this.#finish(null)
  }

  /** The network or the other side ends it: what is under way is lost. */
  break(reason: string): void {
    if (this.#ended !== undefined) return
    this.#underWay = []
    this.#finish(unreachable(reason))
  }

  /** Who lets go reads no more. */
  #drop(): void {
    this.#underWay = []
    this.#unread = []
  }

  release(): void {
    this.#arm()
  }

  #take(arrival: Arrival): void {
    if (this.#ended !== undefined) return
    this.#lastDueMs = Math.max(this.#lastDueMs, this.#seams.clock.nowMs() + this.#seams.delay())
    this.#underWay.push({ atMs: this.#lastDueMs, arrival })
    this.#arm()
  }

  #finish(ended: ServeError | null): void {
    this.#ended = ended
    this.#seams.onEnd()
    this.#arm()
  }

  get #isHeld(): boolean {
    return this.#seams.isHeldTo(this.#owner)
  }

  #arm(): void {
    if (this.#stopTimer !== undefined) return
    const next = this.#underWay[0]
    const hasNews = this.#unread.length > 0 || (this.#ended !== undefined && !this.#toldEnd)
    if (next === undefined && !hasNews) return
    const dueInMs = hasNews || next === undefined ? 0 : Math.max(0, next.atMs - this.#seams.clock.nowMs())
    this.#stopTimer = this.#seams.clock.after(dueInMs, () => {
      this.#stopTimer = undefined
      this.#turn()
    })
  }

  #turn(): void {
    const nowMs = this.#seams.clock.nowMs()
    let ends = false
    while (!this.#isHeld && this.#underWay[0] !== undefined && this.#underWay[0].atMs <= nowMs) {
      const arrival = this.#underWay.shift()?.arrival
      if (arrival === 'end') ends = true
      else if (arrival !== undefined) this.#unread.push(arrival)
    }
    while (!this.#paused && this.#reader !== undefined) {
      const bytes = this.#unread.shift()
      if (bytes === undefined) break
      this.#windowUsed -= bytes.byteLength
      this.#reader.onBytes(bytes)
    }
    if (this.#windowUsed <= this.#seams.windowBytes / 2) this.#peer?.drained()
    if (ends && this.#ended === undefined) this.#finish(null)
    if (this.#ended !== undefined && !this.#toldEnd && this.#reader !== undefined && this.#unread.length === 0) {
      this.#toldEnd = true
      this.#reader.onEnd(this.#ended ?? undefined)
    }
    if (!this.#isHeld && !this.#paused && this.#reader !== undefined) this.#arm()
  }

  /** The other side has read half of the window. */
  drained(): void {
    if (!this.#needsDrain) return
    this.#needsDrain = false
    if (this.#ended === undefined) this.#reader?.onDrain()
  }
}

const wall = (from: string, to: string): string => `${from}|${to}`

const unreachable = (reason: string): ServeError => new ServeError('ERR_PEER_UNREACHABLE', reason)
