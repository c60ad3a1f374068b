import { ServeError, sleep } from '../base/index.ts'
import type { ServeEvent, StateStore } from '../controller/index.ts'
import type { ResolvedHttpOptions } from '../gateway/index.ts'
import {
  CONTROLLER,
  ControllerGroup,
  dialFirst,
  type Epoch,
  enter,
  GROUP_PORT,
  type GroupEvent,
  type MeshAuthority,
  MeshHub,
  type MeshHubInit,
  type MeshPeer,
  type PeerTransport,
  SharedTransport,
  type StandbyEnd,
  seatController,
} from '../mesh/index.ts'
import { type InstancePlatform, LocalInstance } from './local-instance.ts'
import { servePeerClient } from './serve-peer-client.ts'

/** How often an acting controller looks for others that it does not see, in milliseconds. */
const SEEK_MS = 2_000

export interface StandbyInit {
  readonly name: string
  /** Of this node; the peer takes one side of it. */
  readonly transport: PeerTransport
  /** Where this controller keeps its copy of the state. It is closed with the standby. */
  readonly store: StateStore
  /** The key of the mesh, where it was kept before. */
  readonly secret?: unknown
  /** Keeps the key of the mesh; resolves when it would outlive a crash. */
  readonly keepSecret: (secret: unknown) => Promise<void>
  /** Who signs for the mesh with its key, on what the state says of tickets. */
  readonly toAuthority: (secret: unknown, group: ControllerGroup) => Promise<MeshAuthority>
  /** What a hub needs of this node. */
  readonly hub: Omit<MeshHubInit, 'transport' | 'authority' | 'epoch' | 'onGreater' | 'isReturning' | 'group' | 'secret' | 'lodgesWith'>
  readonly fetchOptions: ResolvedHttpOptions
  readonly platform: InstancePlatform
}

interface Acting {
  readonly hub: MeshHub
  readonly transport: PeerTransport
  readonly abort: AbortController
  instance: LocalInstance | undefined
}

/**
 * The controller that may rise on the node of a peer: it keeps the state, and when the acting controller is gone it leads the mesh from here. Its peer goes
 * on as it was and is led from here as well, through a connection inside of this process, so nothing that runs or calls here changes.
 */
export class StandbyController implements StandbyEnd {
  readonly group: ControllerGroup
  /** For the peer. */
  readonly transport: PeerTransport
  readonly #init: StandbyInit
  readonly #shared: SharedTransport
  #secret: unknown
  #peer: MeshPeer | undefined
  #acting: Acting | undefined
  #last: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(init: StandbyInit) {
    const { platform, transport, store } = init
    this.#init = init
    this.#secret = init.secret
    this.#shared = new SharedTransport(transport, platform.clock)
    this.transport = this.#shared.peer
    this.group = new ControllerGroup(
      { controllerId: transport.peerId, store, isFounder: false, onEvent: (event) => this.#onEvent(event) },
      platform.clock,
      platform.random,
      platform.log,
    )
  }

  /** Reads the state. From now on it may rise, on the node of this peer. `ERR_STORAGE`. */
  async open(peer: MeshPeer): Promise<void> {
    this.#peer = peer
    await this.group.open()
  }

  async keep(secret: unknown): Promise<void> {
    if (secret === undefined)
      throw new ServeError('ERR_UNSUPPORTED', 'the controller of this mesh gives its key to nobody: it has no storage')
    await this.#init.keepSecret(secret)
    this.#secret = secret
  }

  /** True while this node leads the mesh. */
  get isActing(): boolean {
    return this.#acting !== undefined
  }

  /** Leads nobody any more; what runs elsewhere runs on. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#last
    this.#fall('the controller stops')
    await this.group.close()
  }

  #onEvent(event: GroupEvent): void {
    this.#acting?.hub.onGroupEvent(event)
    if (event.kind === 'role') {
      const { leader } = event
      const addresses = this.group.map.get(CONTROLLER + leader.controllerId)?.value as readonly string[] | undefined
      if (leader.controllerId !== this.transport.peerId && addresses !== undefined)
        this.#peer?.lookFor({ id: leader.controllerId, addresses })
      this.#last = this.#last.then(() => (event.role === 'acting' ? this.#rise(leader) : this.#fall('another controller leads')))
      this.#last = this.#last.catch((error: unknown) => this.#init.platform.log.error({ reason: String(error) }, 'controller.not-started'))
    }
  }

  async #rise(epoch: Epoch): Promise<void> {
    const { group } = this
    const peer = this.#peer
    // One that leads already leads on.
    if (peer === undefined || this.#acting !== undefined || this.#isClosed || !isLed(group, epoch)) return
    const { name, fetchOptions, platform } = this.#init
    const { clock, turns, log } = platform
    const authority = await this.#init.toAuthority(this.#secret, group)
    if (this.#isClosed || !isLed(group, epoch)) return
    const transport = this.#shared.hub()
    const hub = new MeshHub(
      {
        ...this.#init.hub,
        transport,
        authority,
        epoch,
        group,
        onGreater: (greater) => group.noteLeader(greater),
        isReturning: true,
        secret: () => this.#secret,
        lodgesWith: { queues: () => peer.queues, table: () => peer.table, meet: (member, connection) => peer.meet(member, connection) },
      },
      clock,
      turns,
      log,
    )
    const acting: Acting = { hub, transport, abort: new AbortController(), instance: undefined }
    this.#acting = acting
    const onOpen = async (instance: LocalInstance): Promise<void> => {
      acting.instance = instance
      const emit = (event: ServeEvent): void => instance.emit(event)
      await hub.open(instance.controller, emit, (port, member, access) => servePeerClient(instance, port, member, access, turns))
      peer.lookAgain({ id: transport.peerId, addresses: transport.addresses })
      void this.#seekOthers(acting, authority)
    }
    LocalInstance.start({ name, http: undefined, fetchOptions, store: lent(group), mesh: hub, onOpen }, platform).then(
      () => hub.noteChange(),
      (error: unknown) => {
        if (this.#acting === acting) log.error({ reason: String(error) }, 'controller.not-started')
      },
    )
  }

  #fall(reason: string): void {
    const acting = this.#acting
    if (acting === undefined) return
    this.#acting = undefined
    acting.abort.abort(new ServeError('ERR_NO_CONTROLLER', reason))
    // Before the supervisors stop: they must not take along what runs elsewhere.
    acting.hub.stepDown(reason)
    void acting.hub.close()
    acting.instance?.shutdown(0).catch(() => undefined)
  }

  /** Another one that leads, on the other side of a partition that is over, is one to agree with. */
  async #seekOthers({ abort: { signal }, transport, hub }: Acting, authority: MeshAuthority): Promise<void> {
    const { clock, turns, random } = this.#init.platform
    const { codec, maxMessageBytes, verify, epochMs, card } = this.#init.hub
    const proof = (await authority.issue(transport.peerId, '', { roles: ['controller'], trusted: true })).token
    const common = {
      mesh: authority.publicKey,
      card: () => ({ ...card, addresses: transport.addresses }),
      linkOptions: { codec, ...(maxMessageBytes !== undefined && { maxMessageBytes }) },
      verify,
      epochMs,
      pass: { credential: proof },
      wants: 'group',
    } as const
    const sought = new Set<string>()
    const seek = async (id: string, addresses: readonly string[]): Promise<void> => {
      sought.add(id)
      try {
        const connection = await dialFirst(transport, addresses, signal, clock, (dialled) => dialled)
        const { member } = await enter(connection, common, clock, turns)
        seatController(member.link.openPort(GROUP_PORT), member, this.group)
        const close = (): void => member.link.close('this controller does not lead any more')
        signal.addEventListener('abort', close, { once: true })
        await member.link.whenGone
        signal.removeEventListener('abort', close)
      } finally {
        sought.delete(id)
      }
    }
    while (!signal.aborted) {
      for (const { key, value } of this.group.map.entries()) {
        const id = key.slice(CONTROLLER.length)
        if (!key.startsWith(CONTROLLER) || id === transport.peerId || sought.has(id) || hub.peers[id] !== undefined) continue
        if (value !== undefined) void seek(id, value as readonly string[]).catch(() => undefined)
      }
      await sleep(clock, SEEK_MS * (0.5 + random()), signal).catch(() => undefined)
    }
  }
}

function isLed(group: ControllerGroup, { term, controllerId }: Epoch): boolean {
  return group.role === 'acting' && group.leader.term === term && group.leader.controllerId === controllerId
}

/** The state of the group, which outlives whoever acts on it. */
function lent(group: ControllerGroup): StateStore {
  return { ...group.asStore(), close: async () => {} }
}
