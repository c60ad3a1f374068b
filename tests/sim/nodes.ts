import { isServeError, type Random, SILENT } from '../../core/base/index.ts'
import {
  ControllerGroup,
  type Epoch,
  GROUP_LEASE_MS,
  type GroupMessage,
  type GroupSeat,
  TableFollower,
  type TablePush,
  type TableTaken,
  type Version,
} from '../../core/mesh/index.ts'
import { type BackendEntry, chooseBackend, type EndpointEntry, type RoutingTable, resolveBackendConfig } from '../../core/model/index.ts'
import type { Checker } from './checker.ts'
import type { SimDisk } from './sim-disk.ts'
import type { LinkEnds, SimHost, SimLink, SimNetwork } from './sim-network.ts'
import type { Machine, SimTime } from './sim-time.ts'
import { TableFeed } from './table-feed.ts'

/** What nodes of a simulation share. */
export interface Surroundings {
  readonly network: SimNetwork
  readonly random: Random
  readonly checker: Checker
  readonly time: SimTime
  readonly trace: (line: string) => void
  /** By controller. */
  readonly disks: Map<string, SimDisk>
}

type Envelope =
  | { readonly kind: 'group'; readonly group: GroupMessage }
  | { readonly kind: 'hello'; readonly has: { readonly epoch: Epoch; readonly version: number } }
  | { readonly kind: 'table'; readonly push: TablePush }
  | { readonly kind: 'taken'; readonly taken: TableTaken; readonly epoch: Epoch }

/** Redials of a controller and of a peer, in milliseconds. */
const DIAL_MS = 1_000
const CALL_MS = 2_000
const CONFIG = Object.freeze(resolveBackendConfig({}))

/** A controller: the group, the table that follows from its state, and the feed that gives it to peers. */
export class ControllerNode implements SimHost {
  readonly name: string
  readonly machine: Machine
  readonly disk: SimDisk
  readonly #all: Surroundings
  readonly #isFounder: boolean
  readonly #others: readonly string[]
  #group: ControllerGroup | undefined
  #feed: TableFeed | undefined
  #follower = new TableFollower()
  #version = 0
  /** When each connected controller was last heard, on this machine's clock. */
  readonly #heardAtMs = new Map<string, number>()
  isUp = false

  constructor(name: string, isFounder: boolean, controllers: readonly string[], machine: Machine, disk: SimDisk, all: Surroundings) {
    this.name = name
    this.#isFounder = isFounder
    this.#others = controllers.filter((other) => other < name)
    this.machine = machine
    this.disk = disk
    this.#all = all
    all.disks.set(name, disk)
  }

  get group(): ControllerGroup {
    if (this.#group === undefined) throw new Error(`${this.name} is down`)
    return this.#group
  }

  get table(): RoutingTable {
    return this.#follower.table
  }

  get stamp(): string {
    return `${this.#follower.epoch.term}.${this.#follower.epoch.controllerId}/${this.#follower.table.version}`
  }

  start(): void {
    const { checker, random } = this.#all
    const life = `${this.name}#${this.machine.life}`
    this.isUp = true
    this.#follower = new TableFollower()
    checker.forget(this.name)
    const store = this.disk.open(this.machine, 5)
    const group = new ControllerGroup(
      {
        controllerId: this.name,
        store: {
          ...store,
          put: (edits) => {
            for (const { key, value } of edits) {
              if (key.startsWith('entry/')) checker.entry({ key: key.slice(6), ...(value as object) } as never)
            }
            return store.put(edits)
          },
        },
        isFounder: this.#isFounder,
        onEvent: (event) => {
          if (this.#group !== group) return
          this.#all.trace(`${this.name} ${event.kind} ${event.kind === 'role' ? `${event.role} ${event.leader.term}` : ''}`)
          if (event.kind === 'conflict') checker.conflict(event)
          if (event.kind === 'role' && event.role === 'acting') {
            checker.acts(event.leader, life)
            this.#version = 0
          }
          if (event.kind !== 'conflict') this.#publish()
        },
      },
      this.machine,
      random,
      SILENT,
    )
    this.#group = group
    this.#feed = new TableFeed((epoch) => group.noteLeader(epoch))
    this.#heardAtMs.clear()
    group.open().catch((error: unknown) => this.#all.trace(`${this.name} open ${String(error)}`))
    this.#dial()
  }

  kill(): void {
    this.isUp = false
    this.#group = undefined
    this.#feed = undefined
    this.machine.die()
    this.disk.crash()
  }

  onLink(link: SimLink): LinkEnds {
    const { group } = this
    const feed = this.#feed as TableFeed
    const send = (envelope: Envelope): void => link.send(envelope, envelope.kind === 'group')
    const isController = link.peer.startsWith('c')
    const seat: GroupSeat | undefined = isController
      ? group.attach(link.peer, (message) => send({ kind: 'group', group: message }))
      : undefined
    if (isController) send({ kind: 'hello', has: { epoch: this.#follower.epoch, version: this.#follower.table.version } })
    if (isController) this.#heardAtMs.set(link.peer, this.machine.nowMs())
    let feedSeat: ReturnType<TableFeed['listen']> | undefined
    return {
      onMessage: (message) => {
        const envelope = message as Envelope
        if (envelope.kind === 'group') {
          this.#heardAtMs.set(link.peer, this.machine.nowMs())
          seat?.receive(envelope.group)
        } else if (envelope.kind === 'hello') feedSeat = feed.listen((push) => send({ kind: 'table', push }), envelope.has)
        else if (envelope.kind === 'taken') feedSeat?.heard(envelope.taken, envelope.epoch)
        else send({ kind: 'taken', taken: this.#take(envelope.push), epoch: this.#follower.epoch })
      },
      onGone: () => {
        this.#heardAtMs.delete(link.peer)
        seat?.detach()
        feedSeat?.stop()
      },
    }
  }

  /** Edits as a client of this controller would. @returns the code of its failure */
  async edit(key: string, value: unknown): Promise<string | undefined> {
    const { group } = this
    const { life } = this.machine
    let version: Version | undefined
    try {
      version = await group.edit([value === undefined ? { key } : { key, value }])
    } catch (error) {
      return isServeError(error) ? error.code : String(error)
    }
    if (this.machine.life !== life) return 'died'
    const connected = [...this.#heardAtMs.values()].some((atMs) => this.machine.nowMs() - atMs < GROUP_LEASE_MS)
    const others = [...this.#all.disks].filter(([name]) => name !== this.name).map(([, disk]) => disk)
    if (version !== undefined) this.#all.checker.ack(key, version, this.disk, connected ? others : undefined)
    return undefined
  }

  #publish(): void {
    const { group } = this
    if (group.role !== 'acting') return
    const endpoints = new Map<string, EndpointEntry>()
    const backends = new Map<string, BackendEntry>()
    for (const [key, value] of group.map.values) {
      if (key.startsWith('endpoint/')) endpoints.set(key.slice(9), value as EndpointEntry)
      if (key.startsWith('backend/')) backends.set(key.slice(8), value as BackendEntry)
    }
    const table = Object.freeze({ version: ++this.#version, endpoints, backends })
    this.#feed?.publish(group.leader, table)
    this.#take({ epoch: group.leader, delta: wholeOf(table) })
  }

  #take(push: TablePush): TableTaken {
    const taken = this.#follower.take(push)
    this.#all.checker.table(this.name, this.#follower.epoch, this.#follower.table)
    if (taken === 'taken') this.#feed?.publish(this.#follower.epoch, this.#follower.table)
    return taken
  }

  #dial(): void {
    for (const other of this.#others) this.#all.network.dial(this.name, other)
    this.machine.after(DIAL_MS, () => this.#dial())
  }
}

/** A peer that calls and answers. It keeps a connection to two controllers and the table they give it. */
export class PeerNode implements SimHost {
  readonly name: string
  readonly machine: Machine
  readonly #all: Surroundings
  readonly #controllers: readonly string[]
  readonly #open = new Map<number, () => void>()
  #follower = new TableFollower()
  #links = new Map<string, SimLink>()
  isUp = false

  constructor(name: string, controllers: readonly string[], machine: Machine, all: Surroundings) {
    this.name = name
    this.#controllers = controllers
    this.machine = machine
    this.#all = all
  }

  get table(): RoutingTable {
    return this.#follower.table
  }

  get stamp(): string {
    return `${this.#follower.epoch.term}.${this.#follower.epoch.controllerId}/${this.#follower.table.version}`
  }

  start(): void {
    this.isUp = true
    this.#follower = new TableFollower()
    this.#all.checker.forget(this.name)
    this.#links = new Map()
    this.#dial()
  }

  kill(): void {
    this.isUp = false
    for (const call of this.#open.keys()) this.#all.checker.drop(call)
    this.#open.clear()
    this.machine.die()
  }

  onLink(link: SimLink): LinkEnds {
    this.#links.set(link.peer, link)
    const send = (envelope: Envelope): void => link.send(envelope)
    send({ kind: 'hello', has: { epoch: this.#follower.epoch, version: this.#follower.table.version } })
    return {
      onMessage: (message) => {
        const envelope = message as Envelope
        if (envelope.kind !== 'table') return
        const taken = this.#follower.take(envelope.push)
        this.#all.checker.table(this.name, this.#follower.epoch, this.#follower.table)
        send({ kind: 'taken', taken, epoch: this.#follower.epoch })
      },
      onGone: () => {
        if (this.#links.get(link.peer) === link) this.#links.delete(link.peer)
      },
    }
  }

  /** Calls an endpoint of its table at a peer; it settles with an answer, a refusal or at its deadline. */
  call(id: number, other: PeerNode): void {
    const { checker, network, random, trace } = this.#all
    const { life } = this.machine
    checker.begin(id)
    const { endpoints, backends } = this.table
    const names = [...endpoints.keys()]
    const policy = endpoints.get(names[Math.floor(random() * names.length)] ?? '')?.policy
    const backend = policy === undefined ? undefined : chooseBackend(policy, random(), (tag) => backends.has(tag))
    if (backend === undefined) {
      trace(`${this.name} call ${id} no backend`)
      return checker.settle(id, false)
    }
    const settle = (isAnswer: boolean): void => {
      const stop = this.#open.get(id)
      if (this.machine.life !== life || stop === undefined) return
      stop()
      this.#open.delete(id)
      trace(`${this.name} call ${id} ${isAnswer}`)
      checker.settle(id, isAnswer)
    }
    this.#open.set(
      id,
      this.machine.after(CALL_MS, () => settle(false)),
    )
    network.post(this.name, other.name, () => {
      if (other.isUp) network.post(other.name, this.name, () => settle(true))
    })
  }

  #dial(): void {
    // Two at most: the first that answer.
    if (this.#links.size < 2) {
      for (const controller of this.#controllers) if (!this.#links.has(controller)) this.#all.network.dial(this.name, controller)
    }
    this.machine.after(DIAL_MS, () => this.#dial())
  }
}

export const backendValue = (tag: string, mark: number): BackendEntry => ({
  tag,
  config: CONFIG,
  wantedReplicas: mark,
  isolation: 'thread',
})

export const endpointValue = (name: string, backend: string, mark: number): EndpointEntry => ({
  name,
  route: `/${name}/${mark}`,
  methods: ['GET'],
  policy: { entries: [{ backend, weight: 1 }], shadows: [] },
})

function wholeOf({ version, endpoints, backends }: RoutingTable): TablePush['delta'] {
  return { from: 0, to: version, endpoints: [...endpoints.values()], goneEndpoints: [], backends: [...backends.values()], goneBackends: [] }
}
