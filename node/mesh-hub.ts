import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { msgpackCodec } from '../core/adapters/codec/index.ts'
import { meshKey, peekClaims, verifySigned } from '../core/adapters/tickets/index.ts'
import { ControlChannel, type InstancePlatform, type LocalInstance, servePeerClient } from '../core/api/index.ts'
import { type Logger, nearestName, ServeError } from '../core/base/index.ts'
import type { StateStore } from '../core/controller/index.ts'
import type { ResolvedHttpOptions } from '../core/gateway/index.ts'
import { BundleDesk, MeshAuthority, MeshHub, TicketBook } from '../core/mesh/index.ts'
import { bundleModule } from './bundle-module.ts'
import { openBundleStore } from './bundle-shelf.ts'
import { gatewayForPeers } from './gateway-for-peers.ts'
import { LOOPBACK, type MeshListenOptions, openMeshTransport } from './mesh-libp2p.ts'
import { type InstanceStorage, MeshStorage } from './mesh-storage.ts'

export interface MeshOptions {
  /** Multiaddrs to listen on, such as `/ip4/0.0.0.0/tcp/4001`. @default TCP and WebSocket on free ports of 127.0.0.1 */
  readonly listen?: readonly string[]
  /** Multiaddrs to put into tickets instead, for an instance behind a proxy or a NAT. @default those listened on */
  readonly announce?: readonly string[]
  /** Longest message between peers in bytes. 65536 or more. @default 33554432 */
  readonly maxMessageBytes?: number
  /**
   * Connections between two other peers that this node passes on, because they cannot reach each other; it can read none of them, and each may hold one
   * megabyte of it. 0: none. @default 64 with `start`, 0 with `join`
   */
  readonly maxRelayed?: number
  /** Other nodes that this one is connected to at once; one more is refused with `ERR_BACK_PRESSURE`. 1 or more. @default 120 */
  readonly maxPeers?: number
}

/** TCP and WebSocket on free ports of every interface. */
const LAN: readonly string[] = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

const MESH_OPTIONS = ['listen', 'announce', 'maxMessageBytes', 'maxRelayed', 'maxPeers'] as const

const LEAST = { maxMessageBytes: 65_536, maxRelayed: 0, maxPeers: 1 } as const

/** {@link MeshOptions} in which addresses are filled in. */
export type ResolvedMeshOptions = Required<Pick<MeshOptions, 'listen' | 'announce'>> & MeshOptions

/** What `start({ mesh })` and `join(ticket, { mesh })` may be. `ERR_INVALID_CONFIG`. */
export function resolveMeshOptions(given: boolean | 'lan' | MeshOptions, what = 'start'): ResolvedMeshOptions {
  const invalid = (why: string): ServeError => new ServeError('ERR_INVALID_CONFIG', `${what}: option mesh ${why}`)
  if (given === 'lan') return { listen: LAN, announce: [] }
  if (given === true) return { listen: LOOPBACK, announce: [] }
  if (typeof given !== 'object' || given === null) throw invalid(`must be true, 'lan' or an object, got ${String(given)}`)
  for (const name of Object.keys(given)) {
    if ((MESH_OPTIONS as readonly string[]).includes(name)) continue
    const near = nearestName(name, MESH_OPTIONS)
    throw invalid(`has no option ${name}${near === undefined ? '' : `; did you mean ${near}`}`)
  }
  const { listen = LOOPBACK, announce = [], ...limits } = given
  if (![listen, announce].every((list) => Array.isArray(list) && list.every((address) => typeof address === 'string'))) {
    throw invalid('listen and announce must be lists of multiaddrs')
  }
  for (const [name, least] of Object.entries(LEAST)) {
    const value = limits[name as keyof typeof limits]
    if (value === undefined || (Number.isInteger(value) && value >= least)) continue
    throw invalid(`${name} must be an integer of ${least} or more, got ${String(value)}`)
  }
  return { listen, announce, ...limits }
}

export interface HubOptions {
  readonly given: true | 'lan' | MeshOptions
  readonly name: string
  /** The gateway here; with `everyNode` peers open one like it. */
  readonly http: ResolvedHttpOptions | undefined
}

/** The mesh side of an instance that is about to start. */
export interface OpenHub {
  readonly hub: MeshHub
  readonly store: StateStore | undefined
  openDoor(instance: LocalInstance): Promise<void>
}

/**
 * Opens the mesh side of an instance that is about to start: it listens already, and answers when `openDoor` is called. On a storage it is the mesh that
 * was there before, `store` is for the controller then, and this side does not close it.
 */
export async function openMeshHub(
  { given, name, http }: HubOptions,
  platform: InstancePlatform,
  storage?: InstanceStorage,
): Promise<OpenHub> {
  const { clock, turns, random, log, resources, readBytes } = platform
  const { listen, announce, maxMessageBytes, maxRelayed, maxPeers } = resolveMeshOptions(given)
  const gateway = gatewayForPeers(http)
  const kept = storage === undefined ? undefined : await MeshStorage.open(storage)
  const epochMs = (): number => Date.now()
  const book = new TicketBook({ epochMs, kept: kept?.kept, keep: kept === undefined ? undefined : (edits) => kept.store.put(edits) })
  const transport = await listenAgain({ listen, announce, maxPeers }, kept, log)
  const signer = kept?.signer ?? (await meshKey())
  const authority = new MeshAuthority({ signer, verify: verifySigned, peek: peekClaims, epochMs, random, book })
  const hub = new MeshHub(
    {
      transport,
      authority,
      card: { name, runtime: 'node', incarnation: randomUUID(), resources, machine: hostname(), labels: {}, isolations: [] },
      codec: msgpackCodec(),
      maxMessageBytes,
      maxRelayed,
      maxPeers,
      gateway,
      verify: verifySigned,
      openControl: (port, handlers) => new ControlChannel(port, handlers),
      epochMs,
      bundles: new BundleDesk(openBundleStore(), { bundle: bundleModule, readBytes }),
    },
    clock,
    turns,
    log,
  )
  return {
    hub,
    store: kept?.store,
    async openDoor(instance) {
      await hub.open(
        instance.controller,
        (event) => instance.emit(event),
        (port, member, access) => servePeerClient(instance, port, member, access, turns),
      )
      instance.atEnd(() => hub.close())
    },
  }
}

/** Where it listened before, so that peers find it again; anew where that is taken by now. */
async function listenAgain(options: MeshListenOptions, kept: MeshStorage | undefined, log: Logger) {
  const { listen } = options
  const identity = kept === undefined ? {} : { privateKey: kept.privateKey }
  const before = kept?.listenedBefore(listen)
  const again =
    before === undefined ? undefined : await openMeshTransport({ ...options, ...identity, listen: before }).catch(() => undefined)
  if (before !== undefined && again === undefined) log.warn({ listen: before }, 'mesh.ports-taken')
  const fresh =
    again ??
    (await openMeshTransport({ ...options, ...identity }).catch((cause: Error) => {
      throw new ServeError('ERR_INVALID_CONFIG', `mesh: cannot listen on ${listen.join(', ')}: ${cause.message}`, { cause })
    }))
  await kept?.noteListened(listen, fresh.listened)
  return fresh
}
