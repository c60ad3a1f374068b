import { exposeControl, wrapControl } from '../core/adapters/comlink/index.ts'
import { ServeError } from '../core/base/index.ts'
import {
  createPortPair,
  type HostedReplica,
  type ReplicaEnd,
  type ReplicaHost,
  type ReplicaSpec,
  type TargetDescription,
} from '../core/replica/index.ts'
import { openBroadcastPort, openQuietChannel } from './broadcast-port.ts'
import { realTurns } from './clock.ts'
import { holdLock, whenLockFalls } from './held-lock.ts'
import { bridge, PortMux } from './port-mux.ts'

/** How often a tab that wants in asks who leads, in milliseconds: the leader may not listen yet. */
const ASK_AGAIN_MS = 100

/** On the channel of one replica, which all tabs hear. */
type SharedMessage =
  | { readonly kind: 'hello'; readonly link: string }
  | { readonly kind: 'welcome'; readonly link: string; readonly fence: number; readonly description: TargetDescription }
  /** A tab has begun to lead; one that thinks it leads under a smaller number is wrong. */
  | { readonly kind: 'leading'; readonly fence: number }

type Welcome = Extract<SharedMessage, { kind: 'welcome' }>

/**
 * One replica for all tabs of the origin. The tab that gets its Web Lock runs it, the others reach it through that tab: calls through a channel of
 * their own each, into the replica's one queue. When that tab is gone its lock falls to another one, which starts the replica anew; calls that were open
 * settle as if the replica had died. Tabs share only what is the same: backend, code and arguments.
 */
export class SharedReplicaHost implements ReplicaHost {
  readonly name = 'thread'
  readonly #inner: ReplicaHost
  readonly #slots = new Map<string, Set<number>>()
  /** The highest fencing number seen, by lock. */
  readonly #fences = new Map<string, number>()

  /** @param inner starts the replicas of this tab; its start marks must come as messages */
  constructor(inner: ReplicaHost) {
    this.#inner = inner
  }

  async start(spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    if (globalThis.navigator.locks === undefined || crypto.subtle === undefined || globalThis.BroadcastChannel === undefined) {
      throw new ServeError('ERR_UNSUPPORTED', `backend ${spec.backend}: shared replicas need Web Locks, which need HTTPS (or localhost)`)
    }
    const set = `${spec.backend}.${await digestOf(spec)}`
    const slot = this.#takeSlot(set)
    const release = (): void => void this.#slots.get(set)?.delete(slot)
    try {
      const hosted = await this.#startOne(`shoal.shared.${set}.${slot}`, spec, signal)
      void hosted.whenGone.then(release)
      return hosted
    } catch (error) {
      release()
      throw error
    }
  }

  /** The replicas of a backend are numbered alike in all tabs. */
  #takeSlot(set: string): number {
    const taken = this.#slots.get(set) ?? new Set()
    this.#slots.set(set, taken)
    let slot = 0
    while (taken.has(slot)) slot++
    taken.add(slot)
    return slot
  }

  /** Whatever comes first: the lock, or a welcome of who has it. */
  async #startOne(key: string, spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    const candidacy = new AbortController()
    const lead = new AbortController()
    const link = crypto.randomUUID()
    const giveUp = (): void => candidacy.abort(signal.reason)
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    const channel = openQuietChannel(key)
    try {
      await holdLock(memberLock(link), lead.signal)
      const won = holdLock(key, lead.signal, candidacy.signal).then(() => undefined)
      const welcome = await Promise.race([won, this.#askIn(key, link, channel, candidacy.signal)])
      if (welcome === undefined) return await this.#lead(key, spec, signal, lead)
      // Once it is granted a request cannot be taken back: then the lock is let go with the rest.
      candidacy.abort(new ServeError('ERR_CANCELLED', 'another tab leads'))
      void won.catch(() => undefined)
      return this.#follow(key, welcome, lead)
    } catch (error) {
      lead.abort()
      throw error
    } finally {
      candidacy.abort()
      channel.close()
      signal.removeEventListener('abort', giveUp)
    }
  }

  #askIn(key: string, link: string, channel: BroadcastChannel, signal: AbortSignal): Promise<Welcome> {
    return new Promise((resolve, reject) => {
      const ask = (): void => channel.postMessage({ kind: 'hello', link } satisfies SharedMessage)
      const timer = setInterval(ask, ASK_AGAIN_MS)
      signal.addEventListener('abort', () => {
        clearInterval(timer)
        reject(signal.reason)
      })
      if (signal.aborted) {
        clearInterval(timer)
        return reject(signal.reason)
      }
      channel.onmessage = ({ data }: MessageEvent<SharedMessage>) => {
        if (data.kind !== 'welcome' || data.link !== link || data.fence < (this.#fences.get(key) ?? 0)) return
        clearInterval(timer)
        resolve(data)
      }
      ask()
    })
  }

  async #lead(key: string, spec: ReplicaSpec, signal: AbortSignal, lead: AbortController): Promise<HostedReplica> {
    const fence = Math.max((this.#fences.get(key) ?? 0) + 1, Date.now())
    this.#fences.set(key, fence)
    const hosted = await this.#inner.start(spec, signal)
    const mux = new PortMux(hosted.port)
    await holdLock(leaderLock(key, fence), lead.signal)
    const links = new Map<string, () => void>()
    const channel = openQuietChannel(key)
    channel.postMessage({ kind: 'leading', fence } satisfies SharedMessage)
    channel.onmessage = ({ data }: MessageEvent<SharedMessage>) => {
      if (data.kind === 'leading' && data.fence > fence) void hosted.stop()
      if (data.kind !== 'hello') return
      if (!links.has(data.link)) {
        links.set(data.link, openLink(data.link, mux, hosted))
        void whenLockFalls(memberLock(data.link)).then(() => {
          links.get(data.link)?.()
          links.delete(data.link)
        })
      }
      channel.postMessage({ kind: 'welcome', link: data.link, fence, description: hosted.description } satisfies SharedMessage)
    }
    void hosted.whenGone.then(() => {
      for (const close of links.values()) close()
      channel.close()
      lead.abort()
    })
    const { startedFlags: _, ...rest } = hosted
    return { ...rest, port: mux.open() }
  }

  #follow(key: string, { link, fence, description }: Welcome, member: AbortController): HostedReplica {
    this.#fences.set(key, fence)
    let settle: (end: ReplicaEnd) => void = () => {}
    const whenGone = new Promise<ReplicaEnd>((resolve) => {
      settle = resolve
    })
    const controlChannel = openQuietChannel(controlName(link))
    const port = openBroadcastPort(callsName(link))
    const end = (one: ReplicaEnd): void => {
      settle(one)
      controlChannel.close()
      port.close()
      member.abort()
    }
    void whenLockFalls(leaderLock(key, fence), 'shared').then(() =>
      end({ reason: 'the tab that ran it is gone', expected: false, placeGone: true }),
    )
    const [outbound] = createPortPair(realTurns)
    return {
      description,
      port,
      outbound,
      control: wrapControl(controlChannel, whenGone),
      whenGone,
      async stop() {
        end({ reason: 'stopped', expected: true })
      },
    }
  }
}

/** The leader's end of one other tab. */
function openLink(link: string, mux: PortMux, { control }: HostedReplica): () => void {
  const channel = openQuietChannel(controlName(link))
  exposeControl(
    {
      start: () => Promise.reject(new ServeError('ERR_UNSUPPORTED', 'the replica has been started by the tab that leads')),
      configure: (limits) => control.configure(limits),
      reconfigure: (userConfig) => control.reconfigure(userConfig),
      checkHealth: () => control.checkHealth(),
      ping: () => control.ping(),
      usage: async () => (await control.usage?.()) ?? { heapBytes: undefined },
    },
    channel,
  )
  const close = bridge(mux.open(), openBroadcastPort(callsName(link)))
  return () => {
    close()
    channel.close()
  }
}

const controlName = (link: string): string => `shoal.control.${link}`
const callsName = (link: string): string => `shoal.calls.${link}`
/** Held by a tab for as long as it uses a shared replica. */
const memberLock = (link: string): string => `shoal.member.${link}`
/** Held by the tab that runs a shared replica, for one run of it. */
const leaderLock = (key: string, fence: number): string => `${key}.${fence}`

/** Names what is run, so that tabs with another version of the program share among themselves only. */
async function digestOf({ code, initArgs, jsonLimits }: ReplicaSpec): Promise<string> {
  const told = code.kind === 'worker' ? String(code.factory) : code
  const text = JSON.stringify([told, initArgs, jsonLimits], plain)
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return [...digest.subarray(0, 12)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** What JSON would drop or refuse, as something that differs when it differs. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Map || value instanceof Set) return [...value]
  if (ArrayBuffer.isView(value)) return [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]
  if (value instanceof ArrayBuffer) return [...new Uint8Array(value)]
  return value
}
