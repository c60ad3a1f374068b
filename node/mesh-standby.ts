import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { msgpackCodec } from '../core/adapters/codec/index.ts'
import { meshKey, peekClaims, verifySigned } from '../core/adapters/tickets/index.ts'
import { ControlChannel, type InstancePlatform, PeerInstance, StandbyController } from '../core/api/index.ts'
import { ServeError } from '../core/base/index.ts'
import type { ResolvedHttpOptions } from '../core/gateway/index.ts'
import {
  BundleDesk,
  type ControllerGroup,
  MeshAuthority,
  MeshPeer,
  type MeshRole,
  type PeerTransport,
  type TicketClaims,
} from '../core/mesh/index.ts'
import type { ReplicaCode } from '../core/replica/index.ts'
import { bundleModule } from './bundle-module.ts'
import { openBundleStore } from './bundle-shelf.ts'
import { gatewayForPeers } from './gateway-for-peers.ts'
import type { KeyPair } from './key-file.ts'
import { bookOf, type MeshLimits, toPair } from './mesh-hub.ts'
import type { MeshStorage } from './mesh-storage.ts'

export interface StandByOptions {
  readonly name: string
  /** False: none, whatever the controller wants. Undefined: what the controller wants. */
  readonly http: ResolvedHttpOptions | false | undefined
  readonly fetchOptions: ResolvedHttpOptions
  readonly labels: Readonly<Record<string, string>>
  readonly named: ReadonlyMap<string, ReplicaCode> | undefined
  readonly transport: PeerTransport
  readonly kept: MeshStorage
  readonly limits: MeshLimits
  /** By which it joins; undefined for the founder of the mesh that comes back. */
  readonly entry: { readonly ticket: string; readonly claims: TicketClaims; readonly roles: readonly MeshRole[] } | undefined
}

const FOUNDER_ROLES: readonly MeshRole[] = ['controller', 'replica', 'caller', 'gateway']

/** A peer that keeps the state of the mesh and leads it when the acting controller is gone. */
export async function standBy(options: StandByOptions, platform: InstancePlatform): Promise<PeerInstance> {
  const { name, labels, transport, kept, limits, entry, http, fetchOptions } = options
  const { clock, turns, random, log, resources, readBytes } = platform
  const { roles, claims } = entry ?? { roles: FOUNDER_ROLES, claims: claimsOf(kept) }
  if (kept.signer !== undefined && kept.signer.publicKey !== claims.mesh) {
    throw new ServeError('ERR_STORAGE', 'join: the storage belongs to a controller of another mesh; take another folder')
  }
  const common = {
    codec: msgpackCodec(),
    ...limits,
    verify: verifySigned,
    openControl: (port: ConstructorParameters<typeof ControlChannel>[0], handlers: ConstructorParameters<typeof ControlChannel>[1]) =>
      new ControlChannel(port, handlers),
    epochMs: () => Date.now(),
  }
  const card = { name, runtime: 'node', incarnation: randomUUID(), resources, machine: hostname(), labels } as const
  const store = openBundleStore()
  const gateway = gatewayForPeers(http === false ? undefined : http)
  const toAuthority = async (secret: unknown, group: ControllerGroup): Promise<MeshAuthority> => {
    const signer = await meshKey(secret as KeyPair)
    return new MeshAuthority({ signer, verify: verifySigned, peek: peekClaims, epochMs: common.epochMs, random, book: bookOf(group) })
  }
  const standby = new StandbyController({
    name,
    transport,
    store: kept.store,
    secret: kept.signer === undefined ? undefined : toPair(kept.signer),
    keepSecret: (secret) => kept.keepKey(toKeyPair(secret, claims.mesh)),
    toAuthority,
    hub: { ...common, gateway, card: { ...card, isolations: [] }, bundles: new BundleDesk(store, { bundle: bundleModule, readBytes }) },
    fetchOptions,
    platform,
  })
  const peer = new MeshPeer(
    {
      ...common,
      transport: standby.transport,
      ticket: entry?.ticket ?? '',
      claims,
      roles,
      card,
      hosts: platform.hosts,
      bundles: { store, named: options.named },
      credential: await ownCredential(kept, transport.peerId, { ...claims, roles }),
      standby,
    },
    clock,
    turns,
    random,
    log,
  )
  await standby.open(peer)
  const instance = await PeerInstance.join({ peer, platform, http, fetchOptions }).catch(async (error: unknown) => {
    await standby.close()
    throw error
  })
  instance.atEnd(() => standby.close())
  return instance
}

/** Who holds the key of the mesh needs nobody to be let in: not the one who may be gone, nor a ticket that may have expired. */
async function ownCredential({ signer }: MeshStorage, peerId: string, { id, ...grant }: TicketClaims): Promise<string | undefined> {
  if (signer === undefined) return undefined
  const authority = new MeshAuthority({ signer, verify: verifySigned, peek: peekClaims, epochMs: () => Date.now(), random: () => 0 })
  return (await authority.issue(peerId, id, grant)).token
}

function claimsOf({ signer, others }: MeshStorage): TicketClaims {
  const addresses = others.flatMap((other) => other.addresses)
  return { mesh: signer?.publicKey ?? '', id: '', addresses, expiresAtMs: 0, uses: 1, roles: FOUNDER_ROLES, trusted: true }
}

/** From the wire: the one of this mesh, and nothing else. */
function toKeyPair(secret: unknown, mesh: string): KeyPair {
  const { publicKey, privateKey } = (secret ?? {}) as Partial<KeyPair>
  if (publicKey === mesh && typeof privateKey === 'string') return { publicKey, privateKey }
  throw new ServeError('ERR_BAD_REQUEST', 'the controller gave a key that is not that of the mesh')
}
