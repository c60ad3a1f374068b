import { type Clock, isServeError, ServeError, type Stop, type Turns } from '../base/index.ts'
import { encodeFrame, FrameKind, FrameReader, kindOf } from './frame.ts'
import { FrameOutbox } from './frame-outbox.ts'
import type { MessageCodec } from './message-codec.ts'
import type { ByteChannel } from './peer-transport.ts'
import { refusalText } from './refused-port.ts'
import { type PortSeams, VirtualPort } from './virtual-port.ts'

/** Ports that may be open at once. */
const MAX_PORTS = 512
/** Longest name of a port, in bytes of UTF-8. */
const MAX_NAME_BYTES = 256
/** Longest payload of an admission frame: a ticket and a few words. */
export const MAX_ADMISSION_BYTES = 16_384
/** Messages in parts that may be gathered at once, as a multiple of the longest message. */
const GATHERED_MESSAGES = 2
/** What may wait here for a peer that does not read, as a multiple of the longest message; beyond it the link is cut. */
const WAITING_MESSAGES = 4
/** 32 MiB. */
export const DEFAULT_MAX_MESSAGE_BYTES = 33_554_432
/** PINGs go out this often, and nothing heard for {@link SILENCE_MS} ends the link. */
const HEARTBEAT_MS = 1_000
export const SILENCE_MS = 4_000
/** Less than this may be lost in the fractions of a clock, which would stand still. */
const LEAST_MS = 1

/** Why a link is no more. */
export interface LinkEnd {
  /** One clause for messages. */
  readonly reason: string
  /** True when one side said goodbye. */
  readonly orderly: boolean
  /** Set when the other side broke the protocol. */
  readonly fault?: ServeError
}

export interface LinkOptions {
  readonly channel: ByteChannel
  /** The side that dialled numbers its ports oddly, the other evenly. */
  readonly isDialler: boolean
  readonly codec: MessageCodec
  /** Longest message in bytes, in either direction. @default 33554432 */
  readonly maxMessageBytes?: number
  /** A frame of the admission protocol. */
  readonly onAdmission?: (payload: Uint8Array) => void
}

/**
 * What two peers share: one channel of bytes, on which ports are opened by name. Until `open` it takes admission frames alone. When it ends, every
 * port is told; nothing that waits on it waits for ever.
 */
export class Link {
  readonly whenGone: Promise<LinkEnd>
  readonly #channel: ByteChannel
  readonly #options: LinkOptions
  readonly #clock: Clock
  readonly #ports = new Map<number, VirtualPort>()
  readonly #reader: FrameReader
  readonly #seams: PortSeams
  #nextId: number
  /** The greatest number of a port that the other side opened. */
  #lastOtherId = 0
  #portListener: ((port: VirtualPort) => void) | undefined
  readonly #earlyPorts: VirtualPort[] = []
  readonly #outbox: FrameOutbox
  #gatheredBytes = 0
  #starved: VirtualPort[] = []
  #isOpen = false
  #end: LinkEnd | undefined
  #resolveGone: (end: LinkEnd) => void = () => {}
  #goodbye: string | undefined
  #heardAtMs: number
  #rttMs: number | undefined
  #stopHeartbeat: Stop = () => {}
  #retiring: { readonly reason: string; readonly atMs: number } | undefined
  #beatAtMs = 0
  #usedAtMs: number

  constructor(options: LinkOptions, clock: Clock, turns: Turns) {
    this.#options = options
    this.#channel = options.channel
    this.#clock = clock
    const { channel, maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES } = options
    this.#outbox = new FrameOutbox(
      {
        channel,
        maxWaitingBytes: WAITING_MESSAGES * maxMessageBytes,
        onStuck: (reason) => this.abort(reason),
        onLastSent: (port) => this.#closeWith(port, 'closed'),
      },
      turns,
    )
    this.#seams = this.#portSeams(options.codec, maxMessageBytes)
    this.#nextId = options.isDialler ? 1 : 2
    this.#heardAtMs = clock.nowMs()
    this.#usedAtMs = this.#heardAtMs
    this.#reader = new FrameReader((flags, channel, payload) => this.#take(flags, channel, payload))
    this.whenGone = new Promise((resolve) => {
      this.#resolveGone = resolve
    })
    this.#channel.listen({
      onBytes: (bytes) => this.#onBytes(bytes),
      onDrain: () => this.#outbox.flush(),
      onEnd: (error) => {
        const said = this.#goodbye
        this.#finish(
          said === undefined ? { reason: error?.message ?? 'the connection ended', orderly: false } : { reason: said, orderly: true },
        )
      },
    })
  }

  /** Smoothed time of a PING there and back; undefined until the first came back. */
  get rttMs(): number | undefined {
    return this.#rttMs
  }

  get isGone(): boolean {
    return this.#end !== undefined
  }

  /** When the last part of a message came. The heartbeat is none. */
  get usedAtMs(): number {
    return this.#usedAtMs
  }

  /** Names of the ports that are open. */
  get openPorts(): readonly string[] {
    return [...this.#ports.values()].map(({ name }) => name)
  }

  /** Bytes held for messages that are not whole or not wanted yet. Never more than the windows of the open ports and two whole messages. */
  get heldBytes(): number {
    let held = this.#reader.heldBytes
    for (const port of this.#ports.values()) held += port.heldBytes
    return held
  }

  /** Both sides have agreed: ports may be opened, and the heartbeat runs. */
  open(): void {
    if (this.#isOpen || this.#end !== undefined) return
    this.#isOpen = true
    this.#beatAtMs = this.#clock.nowMs()
    this.#beat()
  }

  /** Says something of the admission protocol, at once. */
  sendAdmission(payload: Uint8Array): void {
    if (payload.byteLength > MAX_ADMISSION_BYTES) {
      throw new ServeError(
        'ERR_PAYLOAD_TOO_LARGE',
        `an admission frame of ${payload.byteLength} bytes; the limit is ${MAX_ADMISSION_BYTES}`,
      )
    }
    this.#outbox.add(encodeFrame(FrameKind.ADMIT, 0, payload))
    this.#outbox.flush()
  }

  /** Opens a port; what is posted before the other side has taken it waits there. `ERR_PEER_UNREACHABLE` when the link is gone. */
  openPort(name: string): VirtualPort {
    if (this.#end !== undefined || !this.#isOpen) {
      throw new ServeError(
        'ERR_PEER_UNREACHABLE',
        `port ${name}: the link is ${this.#end === undefined ? 'not open yet' : `gone (${this.#end.reason})`}`,
      )
    }
    if (this.#ports.size >= MAX_PORTS) throw new ServeError('ERR_BACK_PRESSURE', `port ${name}: ${MAX_PORTS} ports are open on this link`)
    const port = new VirtualPort(this.#nextId, name, this.#seams)
    this.#nextId += 2
    this.#ports.set(port.id, port)
    this.#outbox.add(encodeFrame(FrameKind.OPEN, port.id, encodeText(name, MAX_NAME_BYTES)))
    return port
  }

  /** Sets who takes the ports that the other side opens; those opened before wait. Throwing closes a port with that reason. */
  onPort(listener: (port: VirtualPort) => void): void {
    this.#portListener = listener
    for (const port of this.#earlyPorts.splice(0)) this.#offer(port, listener)
  }

  /** Lets what was posted leave, says goodbye and ends. */
  close(reason = 'the peer left'): void {
    if (this.#end !== undefined) return
    this.#outbox.flush(true)
    this.#channel.send(encodeFrame(FrameKind.BYE, 0, encodeText(reason, MAX_NAME_BYTES)))
    this.#channel.close()
    this.#finish({ reason, orderly: true })
  }

  /** Closes when no port is open any more, which is looked at with each heartbeat, and after so long in any case. */
  closeWhenIdle(reason: string, mostMs: number): void {
    this.#retiring ??= { reason, atMs: this.#clock.nowMs() + mostMs }
  }

  /** Ends at once, without a word. */
  abort(reason: string): void {
    if (this.#end !== undefined) return
    this.#channel.abort(reason)
    this.#finish({ reason, orderly: false })
  }

  #portSeams(codec: MessageCodec, maxMessageBytes: number): PortSeams {
    return {
      codec,
      maxMessageBytes,
      onQueued: (port, bytes) => this.#outbox.queue(port, bytes),
      grant: (port, bytes) => {
        const payload = new Uint8Array(4)
        new DataView(payload.buffer).setUint32(0, bytes)
        this.#outbox.add(encodeFrame(FrameKind.CREDIT, port.id, payload))
      },
      claim: (port, bytes) => {
        if (this.#gatheredBytes + bytes > GATHERED_MESSAGES * maxMessageBytes) {
          if (!this.#starved.includes(port)) this.#starved.push(port)
          return false
        }
        this.#gatheredBytes += bytes
        return true
      },
      release: (bytes) => {
        this.#gatheredBytes -= bytes
        const starved = this.#starved
        this.#starved = []
        for (const port of starved) port.resumeIntake()
      },
      onClosed: (port) => {
        if (!port.hasOutgoing) this.#closeWith(port, 'closed')
      },
      onDropped: (bytes) => this.#outbox.drop(bytes),
    }
  }

  #onBytes(bytes: Uint8Array): void {
    if (this.#end !== undefined) return
    this.#heardAtMs = this.#clock.nowMs()
    try {
      this.#reader.push(bytes)
    } catch (cause) {
      const fault = isServeError(cause)
        ? cause
        : new ServeError('ERR_BAD_REQUEST', `a peer's frame could not be taken: ${String(cause)}`, { cause })
      this.#channel.abort(fault.message)
      this.#finish({ reason: fault.message, orderly: false, fault })
    }
  }

  #take(flags: number, channel: number, payload: Uint8Array): void {
    if (this.#end !== undefined) return
    const kind = kindOf(flags)
    if (kind === FrameKind.BYE) {
      this.#goodbye = decodeText(payload)
      return
    }
    if (kind === FrameKind.ADMIT) return this.#takeAdmission(payload)
    if (!this.#isOpen) throw new ServeError('ERR_FORBIDDEN', `a peer that was not admitted sent a frame of kind ${kind}`)
    switch (kind) {
      case FrameKind.OPEN:
        return this.#takeOpen(channel, payload)
      case FrameKind.PING:
        return this.#outbox.add(encodeFrame(FrameKind.PONG, 0, payload.slice(0, 8)))
      case FrameKind.PONG: {
        if (payload.byteLength !== 8) throw new ServeError('ERR_BAD_REQUEST', `a peer echoed ${payload.byteLength} bytes`)
        const sampleMs = Math.max(0, this.#clock.nowMs() - new DataView(payload.buffer, payload.byteOffset, 8).getFloat64(0))
        this.#rttMs = this.#rttMs === undefined ? sampleMs : this.#rttMs + (sampleMs - this.#rttMs) * 0.2
        return
      }
      default:
    }
    const port = this.#ports.get(channel)
    if (port === undefined) {
      // What crossed with a CLOSE is dropped; a port that never was is a fault.
      if (this.#wasOpened(channel)) return
      throw new ServeError('ERR_BAD_REQUEST', `a peer sent a frame for port ${channel}, which was never opened`)
    }
    if (kind === FrameKind.DATA) {
      this.#usedAtMs = this.#heardAtMs
      return port.take(flags, payload)
    }
    if (kind === FrameKind.CLOSE) {
      this.#ports.delete(channel)
      port.end(decodeText(payload))
      return this.#outbox.forget(port)
    }
    if (payload.byteLength !== 4) throw new ServeError('ERR_BAD_REQUEST', `a peer granted room in ${payload.byteLength} bytes`)
    port.addCredit(new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0))
    if (port.hasOutgoing) this.#outbox.queue(port)
  }

  #takeAdmission(payload: Uint8Array): void {
    if (this.#options.onAdmission === undefined || payload.byteLength > MAX_ADMISSION_BYTES) {
      throw new ServeError('ERR_FORBIDDEN', `a peer sent an admission frame of ${payload.byteLength} bytes out of turn`)
    }
    this.#options.onAdmission(payload.slice())
  }

  #takeOpen(id: number, payload: Uint8Array): void {
    const isTheirs = id % 2 === (this.#options.isDialler ? 0 : 1)
    if (!isTheirs || id <= this.#lastOtherId || payload.byteLength > MAX_NAME_BYTES) {
      throw new ServeError(
        'ERR_BAD_REQUEST',
        `a peer opened port ${id} with a name of ${payload.byteLength} bytes, after port ${this.#lastOtherId}`,
      )
    }
    if (this.#ports.size >= MAX_PORTS) throw new ServeError('ERR_BAD_REQUEST', `a peer opened more than ${MAX_PORTS} ports`)
    this.#lastOtherId = id
    const port = new VirtualPort(id, decodeText(payload), this.#seams)
    this.#ports.set(id, port)
    if (this.#portListener === undefined) this.#earlyPorts.push(port)
    else this.#offer(port, this.#portListener)
  }

  #offer(port: VirtualPort, listener: (port: VirtualPort) => void): void {
    try {
      listener(port)
    } catch (error) {
      this.#closeWith(port, refusalText(error))
      port.end('refused')
    }
  }

  #wasOpened(id: number): boolean {
    if (id === 0) return false
    return id % 2 === this.#nextId % 2 ? id < this.#nextId : id <= this.#lastOtherId
  }

  #closeWith(port: VirtualPort, reason: string): void {
    if (!this.#ports.delete(port.id)) return
    this.#outbox.forget(port)
    this.#outbox.add(encodeFrame(FrameKind.CLOSE, port.id, encodeText(reason, MAX_NAME_BYTES)))
  }

  #beat(): void {
    if (this.#end !== undefined) return
    const nowMs = this.#clock.nowMs()
    // Whoever was held up itself cannot blame the other side: what it said may be waiting.
    if (nowMs - this.#beatAtMs > 2 * HEARTBEAT_MS) this.#heardAtMs = Math.max(this.#heardAtMs, nowMs - HEARTBEAT_MS)
    this.#beatAtMs = nowMs
    const silentMs = nowMs - this.#heardAtMs
    if (silentMs >= SILENCE_MS) return this.abort(`nothing was heard for ${Math.round(silentMs)} ms`)
    this.#outbox.tick()
    const retiring = this.#retiring
    if (retiring !== undefined && (this.#ports.size === 0 || nowMs >= retiring.atMs)) return this.close(retiring.reason)
    const payload = new Uint8Array(8)
    new DataView(payload.buffer).setFloat64(0, nowMs)
    this.#outbox.add(encodeFrame(FrameKind.PING, 0, payload))
    this.#stopHeartbeat = this.#clock.after(Math.max(LEAST_MS, Math.min(HEARTBEAT_MS, SILENCE_MS - silentMs)), () => this.#beat())
  }

  #finish(end: LinkEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#stopHeartbeat()
    const ports = [...this.#ports.values()]
    this.#ports.clear()
    this.#outbox.close()
    this.#starved = []
    for (const port of ports) port.end(end.reason)
    this.#resolveGone(end)
  }
}

function encodeText(text: string, maxBytes: number): Uint8Array {
  return new TextEncoder().encode(text).subarray(0, maxBytes)
}

function decodeText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, MAX_NAME_BYTES))
}
