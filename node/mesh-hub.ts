import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { msgpackCodec } from '../core/adapters/codec/index.ts'
import { meshKey, peekClaims, verifySigned } from '../core/adapters/tickets/index.ts'
import { ControlChannel, type InstancePlatform, type LocalInstance, servePeerClient } from '../core/api/index.ts'
import { nearestName, ServeError } from '../core/base/index.ts'
import { BundleDesk, MeshAuthority, MeshHub } from '../core/mesh/index.ts'
import { bundleModule } from './bundle-module.ts'
import { openBundleStore } from './bundle-shelf.ts'
import { LOOPBACK, openMeshTransport } from './mesh-libp2p.ts'

export interface MeshOptions {
  /** Multiaddrs to listen on, such as `/ip4/0.0.0.0/tcp/4001`. @default TCP and WebSocket on free ports of 127.0.0.1 */
  readonly listen?: readonly string[]
  /** Multiaddrs to put into tickets instead, for an instance behind a proxy or a NAT. @default those listened on */
  readonly announce?: readonly string[]
  /** Longest message between peers in bytes. 65536 or more. @default 33554432 */
  readonly maxMessageBytes?: number
}

/** TCP and WebSocket on free ports of every interface. */
const LAN: readonly string[] = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

const MESH_OPTIONS = ['listen', 'announce', 'maxMessageBytes'] as const

/** What `start({ mesh })` may be. `ERR_INVALID_CONFIG`. */
export function resolveMeshOptions(given: boolean | 'lan' | MeshOptions): Required<Omit<MeshOptions, 'maxMessageBytes'>> & MeshOptions {
  if (given === 'lan') return { listen: LAN, announce: [] }
  if (given === true) return { listen: LOOPBACK, announce: [] }
  if (typeof given !== 'object' || given === null) throw invalid(`must be true, 'lan' or an object, got ${String(given)}`)
  for (const name of Object.keys(given)) {
    if ((MESH_OPTIONS as readonly string[]).includes(name)) continue
    const near = nearestName(name, MESH_OPTIONS)
    throw invalid(`has no option ${name}${near === undefined ? '' : `; did you mean ${near}`}`)
  }
  const { listen = LOOPBACK, announce = [], maxMessageBytes } = given
  if (![listen, announce].every((list) => Array.isArray(list) && list.every((address) => typeof address === 'string'))) {
    throw invalid('listen and announce must be lists of multiaddrs')
  }
  if (maxMessageBytes !== undefined && !(Number.isInteger(maxMessageBytes) && maxMessageBytes >= 65_536)) {
    throw invalid(`maxMessageBytes must be an integer of 65536 or more, got ${String(maxMessageBytes)}`)
  }
  return { listen, announce, ...(maxMessageBytes !== undefined && { maxMessageBytes }) }
}

/** Opens the mesh side of an instance that is about to start: it listens already, and answers when `openDoor` is called. */
export async function openMeshHub(
  given: true | 'lan' | MeshOptions,
  name: string,
  { clock, turns, random, log, resources, readBytes }: InstancePlatform,
): Promise<{ readonly hub: MeshHub; openDoor(instance: LocalInstance): Promise<void> }> {
  const { listen, announce, maxMessageBytes } = resolveMeshOptions(given)
  const transport = await openMeshTransport({ listen, announce }).catch((cause: Error) => {
    throw new ServeError('ERR_INVALID_CONFIG', `mesh: cannot listen on ${listen.join(', ')}: ${cause.message}`, { cause })
  })
  const epochMs = (): number => Date.now()
  const authority = new MeshAuthority({ signer: await meshKey(), verify: verifySigned, peek: peekClaims, epochMs, random })
  const hub = new MeshHub(
    {
      transport,
      authority,
      card: { name, runtime: 'node', incarnation: randomUUID(), resources, machine: hostname(), labels: {}, isolations: [] },
      codec: msgpackCodec(),
      maxMessageBytes,
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
    async openDoor(instance) {
      await hub.open(
        instance.controller,
        (event) => instance.emit(event),
        (port, member) => servePeerClient(instance, port, member, turns),
      )
      instance.atEnd(() => hub.close())
    },
  }
}

const invalid = (why: string): ServeError => new ServeError('ERR_INVALID_CONFIG', `start: option mesh ${why}`)
