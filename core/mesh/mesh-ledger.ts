import {
  betterNode,
  type Ledger,
  type PlacementNode,
  type PlacementRequest,
  place,
  portabilityOf,
  type ReplicaWishes,
} from '../controller/index.ts'
import { type ResolvedResources, resolveReplicaOptions } from '../model/index.ts'

/** What the ledger knows of a node beyond its replicas. */
export type LedgerNode = Omit<PlacementNode, 'taken' | 'replicas' | 'replicasOf'>

interface Placed {
  readonly nodeId: string
  readonly request: PlacementRequest
}

/** Chooses a node for each replica and remembers it. */
export class MeshLedger implements Ledger {
  readonly #nodes = new Map<string, LedgerNode>()
  readonly #placed = new Map<string, Placed>()
  /** By node, then by replica: with many nodes a choice must not look at every replica there is. */
  readonly #onNode = new Map<string, Map<string, PlacementRequest>>()
  /** Nodes as a choice sees them; missing where something has changed. */
  readonly #seen = new Map<string, PlacementNode>()

  /** Adds a node, or changes what is known of it. */
  setNode(node: LedgerNode): void {
    this.#nodes.set(node.id, node)
    this.#seen.delete(node.id)
  }

  /** Forgets a node; its replicas are given back one by one as their ends are told. */
  removeNode(nodeId: string): void {
    this.#nodes.delete(nodeId)
    this.#seen.delete(nodeId)
  }

  take(backend: string, replicaId: string, asked: ResolvedResources, wishes?: ReplicaWishes): void {
    const { placement, isolation } = wishes?.options ?? resolveReplicaOptions({})
    const portability = wishes === undefined ? ('process' as const) : portabilityOf(wishes.code, wishes.initArgs)
    const request = { backend, resources: asked, placement, isolation, portability }
    this.#put(replicaId, place(request, this.#view()), request)
  }

  /** Places a replica anew. Throws `ERR_INFEASIBLE`; it has none then. */
  placeAnew(replicaId: string): void {
    const placed = this.#placed.get(replicaId)
    if (placed === undefined) return
    this.giveBack(replicaId)
    this.#put(replicaId, place(placed.request, this.#view()), placed.request)
  }

  #put(replicaId: string, nodeId: string, request: PlacementRequest): void {
    this.giveBack(replicaId)
    this.#placed.set(replicaId, { nodeId, request })
    const here = this.#onNode.get(nodeId) ?? new Map<string, PlacementRequest>()
    this.#onNode.set(nodeId, here.set(replicaId, request))
    this.#seen.delete(nodeId)
  }

  giveBack(replicaId: string): void {
    const nodeId = this.#placed.get(replicaId)?.nodeId
    if (nodeId === undefined) return
    this.#placed.delete(replicaId)
    const here = this.#onNode.get(nodeId)
    here?.delete(replicaId)
    if (here?.size === 0) this.#onNode.delete(nodeId)
    this.#seen.delete(nodeId)
  }

  /** Where a replica was placed. */
  nodeOf(replicaId: string): string | undefined {
    return this.#placed.get(replicaId)?.nodeId
  }

  /** Whether a backend has a replica anywhere, or one that starts. */
  hasReplicaOf(backend: string): boolean {
    return [...this.#placed.values()].some(({ request }) => request.backend === backend)
  }

  /** Replicas on a node, with their backends. */
  on(nodeId: string): readonly { readonly replicaId: string; readonly backend: string }[] {
    return [...(this.#onNode.get(nodeId) ?? [])].map(([replicaId, { backend }]) => ({ replicaId, backend }))
  }

  /** One replica that would be better off elsewhere, so that surplus follows those who join; undefined when all is even. */
  nextMove(): { readonly replicaId: string; readonly backend: string } | undefined {
    const view = this.#view()
    // Least replicas of a backend on any node: a look at the others is worth it only for who has two more.
    const least = new Map<string, number>()
    for (const [replicaId, { nodeId, request }] of this.#placed) {
      const { backend } = request
      const fewest = least.get(backend) ?? Math.min(...view.map(({ replicasOf }) => replicasOf[backend] ?? 0))
      least.set(backend, fewest)
      if ((this.#seen.get(nodeId)?.replicasOf[backend] ?? 0) - fewest < 2) continue
      if (betterNode(request, nodeId, view) !== undefined) return { replicaId, backend: request.backend }
    }
    return undefined
  }

  #view(): PlacementNode[] {
    return [...this.#nodes.values()].map((node) => this.#seen.get(node.id) ?? this.#look(node))
  }

  #look(node: LedgerNode): PlacementNode {
    const here = [...(this.#onNode.get(node.id)?.values() ?? [])]
    const replicasOf: Record<string, number> = {}
    for (const { backend } of here) replicasOf[backend] = (replicasOf[backend] ?? 0) + 1
    const seen = { ...node, taken: sumOf(here.map(({ resources }) => resources)), replicas: here.length, replicasOf }
    this.#seen.set(node.id, seen)
    return seen
  }
}

function sumOf(list: readonly ResolvedResources[]): ResolvedResources {
  const custom: Record<string, number> = {}
  for (const one of list) for (const [name, amount] of Object.entries(one.custom)) custom[name] = (custom[name] ?? 0) + amount
  const total = (field: 'cpu' | 'gpu' | 'memoryBytes'): number => list.reduce((sum, one) => sum + one[field], 0)
  return { cpu: total('cpu'), gpu: total('gpu'), memoryBytes: total('memoryBytes'), custom }
}
