import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { msgpackCodec } from '../core/adapters/codec/index.ts'
import { peekClaims, verifySigned } from '../core/adapters/tickets/index.ts'
import { ControlChannel, type InstancePlatform, PeerInstance } from '../core/api/index.ts'
import { ServeError } from '../core/base/index.ts'
import { type HttpOptions, resolveHttpOptions } from '../core/gateway/index.ts'
import { MeshPeer, type MeshRole, type PeerTransport, readTicket, type TicketClaims } from '../core/mesh/index.ts'
import type { ReplicaCode } from '../core/replica/index.ts'
import { openBundleStore } from './bundle-shelf.ts'
import { FileStateStore } from './file-store.ts'
import { listenAgain, type MeshOptions, resolveMeshOptions } from './mesh-hub.ts'
import { openMeshTransport } from './mesh-libp2p.ts'
import { standBy } from './mesh-standby.ts'
import { MeshStorage } from './mesh-storage.ts'

export interface JoinMeshOptions {
  readonly name: string
  readonly roles: readonly MeshRole[] | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly mesh: MeshOptions
  /** False: none, whatever the controller wants. Undefined: what the controller wants. */
  readonly http: HttpOptions | false | undefined
  /** Folder for the state of the mesh, for a peer with the role controller. */
  readonly storage: string | undefined
  /** Set: it takes no code from others and runs this, by backend. */
  readonly named: ReadonlyMap<string, ReplicaCode> | undefined
}

/** Joins the mesh of a ticket, whose signature is checked before anything is dialled or listened on. */
export async function joinMesh(ticket: string, options: JoinMeshOptions, platform: InstancePlatform): Promise<PeerInstance> {
  const { name, labels, storage } = options
  const { listen, announce, ...limits } = resolveMeshOptions(options.mesh, 'join')
  const http = options.http === undefined || options.http === false ? options.http : resolveHttpOptions(options.http)
  const fetchOptions = http === undefined || http === false ? resolveHttpOptions({}) : http
  const claims = await readTicket(ticket, verifySigned, peekClaims)
  const roles = rolesOf(claims, options)
  if (typeof http === 'object' && !(roles ?? claims.roles).includes('gateway')) {
    throw new ServeError('ERR_FORBIDDEN', `join: the ticket grants ${claims.roles.join(', ')}; option http needs the role gateway`)
  }
  if (storage !== undefined) {
    const store = await FileStateStore.open(storage)
    let transport: PeerTransport | undefined
    try {
      const kept = await MeshStorage.open({ folder: storage, store }, false)
      transport = await listenAgain({ ...limits, listen, announce }, kept, platform.log)
      const entry = { ticket, claims, roles: roles ?? claims.roles }
      const init = { name, http, fetchOptions, labels, named: options.named, transport, kept, limits, entry }
      return await standBy(init, platform)
    } catch (error) {
      await transport?.close()
      await store.close()
      throw error
    }
  }
  const { clock, turns, random, log, resources } = platform
  const peer = new MeshPeer(
    {
      transport: await openMeshTransport({ ...limits, listen, announce }),
      ticket,
      claims,
      roles,
      card: { name, runtime: 'node', incarnation: randomUUID(), resources, machine: hostname(), labels },
      hosts: platform.hosts,
      codec: msgpackCodec(),
      ...limits,
      verify: verifySigned,
      openControl: (port, handlers) => new ControlChannel(port, handlers),
      epochMs: () => Date.now(),
      bundles: { store: openBundleStore(), named: options.named },
    },
    clock,
    turns,
    random,
    log,
  )
  return PeerInstance.join({ peer, platform, http, fetchOptions })
}

/** A peer is a controller only when it was asked to be one and can keep what that needs; undefined: all that the ticket grants. */
function rolesOf(claims: TicketClaims, { roles, storage }: JoinMeshOptions): readonly MeshRole[] | undefined {
  if (storage === undefined) {
    if (roles?.includes('controller') === true) {
      throw new ServeError('ERR_INVALID_CONFIG', 'join: the role controller needs option storage, a folder for the state of the mesh')
    }
    return roles ?? (claims.roles.includes('controller') ? claims.roles.filter((role) => role !== 'controller') : undefined)
  }
  if ((roles ?? claims.roles).includes('controller')) return roles
  throw new ServeError(
    'ERR_INVALID_CONFIG',
    `join: option storage is for the role controller; asked for is ${(roles ?? claims.roles).join(', ')}`,
  )
}
