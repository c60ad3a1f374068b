import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { msgpackCodec } from '../core/adapters/codec/index.ts'
import { type MeshKey, meshKey, peekClaims, verifySigned } from '../core/adapters/tickets/index.ts'
import { ControlChannel, type InstancePlatform, LocalInstance, type PeerInstance, servePeerClient } from '../core/api/index.ts'
import { type Logger, nearestName, ServeError } from '../core/base/index.ts'
import type { ResolvedHttpOptions } from '../core/gateway/index.ts'
import { BundleDesk, ControllerGroup, type GroupEvent, MeshAuthority, MeshHub, type PeerTransport, TicketBook } from '../core/mesh/index.ts'
import { bundleModule } from './bundle-module.ts'
import { openBundleStore } from './bundle-shelf.ts'
import { gatewayForPeers } from './gateway-for-peers.ts'
import type { KeyPair } from './key-file.ts'
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
  /**
   * Other nodes that this one is connected to at once; one more takes the place of the connection that carried nothing for longest, else it is refused with
   * `ERR_BACK_PRESSURE`. The controller refuses in any case. 1 or more. @default 120
   */
  readonly maxPeers?: number
  /**
   * How long a connection to another peer may carry nothing before it is closed, in milliseconds; the next call opens it again, and that to the controller
   * stays. 1000 or more. @default 300000
   */
  readonly idleLinkMs?: number
  /**
   * Connections that may be on their way in at once; when there are more, one that says nothing gives way, else the next is refused with
   * `ERR_BACK_PRESSURE`. 1 or more. @default 50
   */
  readonly maxAdmissions?: number
}

/** TCP and WebSocket on free ports of every interface. */
const LAN: readonly string[] = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

const MESH_OPTIONS = ['listen', 'announce', 'maxMessageBytes', 'maxRelayed', 'maxPeers', 'idleLinkMs', 'maxAdmissions'] as const

const LEAST = { maxMessageBytes: 65_536, maxRelayed: 0, maxPeers: 1, idleLinkMs: 1_000, maxAdmissions: 1 } as const

/** What bounds the mesh of a node. */
export type MeshLimits = Omit<MeshOptions, 'listen' | 'announce'>

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

export interface MeshStart {
  readonly name: string
  readonly mesh: true | 'lan' | MeshOptions
  readonly http: ResolvedHttpOptions | undefined
  readonly fetchOptions: ResolvedHttpOptions
  /** Undefined: the mesh is as old as this process. */
  readonly storage: InstanceStorage | undefined
}

/**
 * Starts an instance that takes peers. On a storage it is the mesh that was there before; where other controllers were part of that, it comes back as one
 * of their standbys, and leads again when none of them does.
 */
export async function startWithMesh(options: MeshStart, platform: InstancePlatform): Promise<LocalInstance | PeerInstance> {
  const { listen, announce, ...limits } = resolveMeshOptions(options.mesh)
  const kept = options.storage === undefined ? undefined : await MeshStorage.open(options.storage, true)
  const transport = await listenAgain({ ...limits, listen, announce }, kept, platform.log)
  try {
    if (kept === undefined || kept.others.length === 0) return await found(options, { transport, kept, limits }, platform)
    const { standBy } = await import('./mesh-standby.ts')
    return await standBy(
      { ...options, http: options.http ?? false, transport, kept, limits, labels: {}, named: undefined, entry: undefined },
      platform,
    )
  } catch (error) {
    await transport.close()
    throw error
  }
}

interface Founding {
  readonly transport: PeerTransport
  readonly kept: MeshStorage | undefined
  readonly limits: MeshLimits
}

/** The first controller of a mesh, or its only one. */
async function found(
  { name, http, fetchOptions }: MeshStart,
  { transport, kept, limits }: Founding,
  platform: InstancePlatform,
): Promise<LocalInstance> {
  const { clock, turns, random, log, resources, readBytes } = platform
  const epochMs = (): number => Date.now()
  let hub: MeshHub | undefined
  const onEvent = (event: GroupEvent): void => hub?.onGroupEvent(event)
  const group =
    kept === undefined
      ? undefined
      : new ControllerGroup({ controllerId: transport.peerId, store: kept.store, isFounder: true, onEvent }, clock, random, log)
  await group?.open()
  const signer = kept?.signer ?? (await meshKey())
  const book = bookOf(group)
  hub = new MeshHub(
    {
      transport,
      authority: new MeshAuthority({ signer, verify: verifySigned, peek: peekClaims, epochMs, random, book }),
      card: { name, runtime: 'node', incarnation: randomUUID(), resources, machine: hostname(), labels: {}, isolations: [] },
      codec: msgpackCodec(),
      ...limits,
      gateway: gatewayForPeers(http),
      verify: verifySigned,
      openControl: (port, handlers) => new ControlChannel(port, handlers),
      epochMs,
      bundles: new BundleDesk(openBundleStore(), { bundle: bundleModule, readBytes }),
      epoch: group?.leader,
      group,
      onGreater: (epoch) => group?.noteLeader(epoch),
      secret: () => toPair(signer),
      isReturning: book.hasMembers,
    },
    clock,
    turns,
    log,
  )
  const mesh = hub
  const onOpen = (instance: LocalInstance): Promise<void> =>
    mesh.open(
      instance.controller,
      (event) => instance.emit(event),
      (port, member, access) => servePeerClient(instance, port, member, access, turns),
    )
  try {
    const init = { name, http, fetchOptions, store: group?.asStore(), mesh, onOpen }
    const instance = await LocalInstance.start(init, platform)
    if (instance.gateway !== undefined) mesh.noteGateway(instance.gateway.url)
    mesh.noteChange()
    instance.atEnd(() => mesh.close())
    // Where another is there to take over, what runs elsewhere runs on.
    instance.close = () => {
      if (group !== undefined && group.connected > 0) mesh.stepDown('the controller stops')
      return instance.shutdown()
    }
    return instance
  } catch (error) {
    await mesh.close()
    throw error
  }
}

/** What is known of tickets, kept with the state. */
export function bookOf(group: ControllerGroup | undefined): TicketBook {
  const epochMs = (): number => Date.now()
  if (group === undefined) return new TicketBook({ epochMs })
  return new TicketBook({ epochMs, kept: group.map.values, keep: async (edits) => void (await group.edit(edits)) })
}

/** The key of a mesh as it goes to another controller, and into a file. */
export const toPair = (key: MeshKey): KeyPair => ({ publicKey: key.publicKey, privateKey: key.toSecret() })

/** libp2p puts a line for each address between advice on options that are not ours and stacks. */
function whyNot({ message }: Error): string {
  const reasons = [...message.matchAll(/^\s+\/\S+: (?:\w*Error: )?(.*)$/gm)].map(([, reason]) => reason)
  return reasons.length > 0 ? reasons.join('; ') : message
}

/** Where it listened before, so that peers find it again; anew where that is taken by now. */
export async function listenAgain(options: MeshListenOptions, kept: MeshStorage | undefined, log: Logger) {
  const { listen } = options
  const identity = kept === undefined ? {} : { privateKey: kept.privateKey }
  const before = kept?.listenedBefore(listen)
  const again =
    before === undefined ? undefined : await openMeshTransport({ ...options, ...identity, listen: before }).catch(() => undefined)
  if (before !== undefined && again === undefined) log.warn({ listen: before }, 'mesh.ports-taken')
  const fresh =
    again ??
    (await openMeshTransport({ ...options, ...identity }).catch((cause: Error) => {
      throw new ServeError('ERR_INVALID_CONFIG', `mesh: cannot listen on ${listen.join(', ')}: ${whyNot(cause)}`, { cause })
    }))
  await kept?.noteListened(listen, fresh.listened)
  return fresh
}
