import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { msgpackCodec } from '../core/adapters/codec/index.ts'
import { peekClaims, verifySigned } from '../core/adapters/tickets/index.ts'
import { ControlChannel, type InstancePlatform, PeerInstance } from '../core/api/index.ts'
import { ServeError } from '../core/base/index.ts'
import { type HttpOptions, resolveHttpOptions } from '../core/gateway/index.ts'
import { MeshPeer, type MeshRole, readTicket } from '../core/mesh/index.ts'
import type { ReplicaCode } from '../core/replica/index.ts'
import { openBundleStore } from './bundle-shelf.ts'
import { type MeshOptions, resolveMeshOptions } from './mesh-hub.ts'
import { openMeshTransport } from './mesh-libp2p.ts'

export interface JoinMeshOptions {
  readonly name: string
  readonly roles: readonly MeshRole[] | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly mesh: MeshOptions
  /** False: none, whatever the controller wants. Undefined: what the controller wants. */
  readonly http: HttpOptions | false | undefined
  /** Set: it takes no code from others and runs this, by backend. */
  readonly named: ReadonlyMap<string, ReplicaCode> | undefined
}

/** Joins the mesh of a ticket, whose signature is checked before anything is dialled or listened on. */
export async function joinMesh(ticket: string, options: JoinMeshOptions, platform: InstancePlatform): Promise<PeerInstance> {
  const { name, roles, labels } = options
  const { listen, announce, maxMessageBytes, maxRelayed, maxPeers } = resolveMeshOptions(options.mesh, 'join')
  const http = options.http === undefined || options.http === false ? options.http : resolveHttpOptions(options.http)
  const claims = await readTicket(ticket, verifySigned, peekClaims)
  if (typeof http === 'object' && !(roles ?? claims.roles).includes('gateway')) {
    throw new ServeError('ERR_FORBIDDEN', `join: the ticket grants ${claims.roles.join(', ')}; option http needs the role gateway`)
  }
  const { clock, turns, random, log, resources } = platform
  const peer = new MeshPeer(
    {
      transport: await openMeshTransport({ listen, announce, maxPeers }),
      ticket,
      claims,
      roles,
      card: { name, runtime: 'node', incarnation: randomUUID(), resources, machine: hostname(), labels },
      hosts: platform.hosts,
      codec: msgpackCodec(),
      maxMessageBytes,
      maxRelayed,
      maxPeers,
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
  return PeerInstance.join({ peer, platform, http, fetchOptions: http === undefined || http === false ? resolveHttpOptions({}) : http })
}
