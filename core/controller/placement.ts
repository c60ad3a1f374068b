import { ServeError } from '../base/index.ts'
import type { Isolation, ResolvedReplicaOptions, ResolvedResources } from '../model/index.ts'
import { amountOf, amountsOf, type Portability, SLACK } from './resource-ledger.ts'

/** A replica that looks for a node. */
export interface PlacementRequest {
  readonly backend: string
  readonly resources: ResolvedResources
  readonly placement: ResolvedReplicaOptions['placement']
  readonly isolation: Isolation
  readonly portability: Portability
}

/** A node that could take replicas, as the controller sees it. Plain data. */
export interface PlacementNode {
  readonly id: string
  /** The controller's own node: it takes what others may not, and wins a tie. */
  readonly isSelf: boolean
  /** Name of its machine; nodes of one name see the same files. */
  readonly machine?: string | undefined
  readonly runtime: 'node' | 'browser'
  readonly labels: Readonly<Record<string, string>>
  /** False for a peer that nobody vouches for. */
  readonly isTrusted: boolean
  readonly isolations: readonly string[]
  /** Backends that it has the code of, when it takes none from others; undefined: any. */
  readonly onlyBackends?: readonly string[] | undefined
  /** False while it leaves. */
  readonly takesReplicas: boolean
  /** Most replicas that it may be given; undefined without a limit. */
  readonly maxReplicas: number | undefined
  readonly offered: ResolvedResources
  /** What its replicas have asked for, added up. */
  readonly taken: ResolvedResources
  /** Replicas on it, all and by backend. */
  readonly replicas: number
  readonly replicasOf: Readonly<Record<string, number>>
}

/**
 * The node for one replica: of those that fit, the one with the fewest replicas of the backend, then with the fewest per core, then this one, then by
 * id, so that the same view gives the same answer. Throws `ERR_INFEASIBLE`, saying what every node lacks.
 */
export function place(request: PlacementRequest, nodes: readonly PlacementNode[]): string {
  let best: PlacementNode | undefined
  const refusals: string[] = []
  for (const node of nodes) {
    // Where there are many nodes, asking whether one fits costs more than asking whether it is wanted.
    if (best !== undefined && !isBetter(node, best, request.backend)) continue
    const why = whyNot(request, node, nodes)
    if (why !== undefined) refusals.push(`${node.id}: ${why}`)
    else best = node
  }
  if (best !== undefined) return best.id
  throw new ServeError(
    'ERR_INFEASIBLE',
    `Cannot scale backend ${request.backend}: no node fits (${refusals.join('; ') || 'there is none'})`,
    {
      details: { backend: request.backend, refusals },
    },
  )
}

/** Whether a replica may run on a node. */
export function fitsOn(request: PlacementRequest, nodeId: string, nodes: readonly PlacementNode[]): boolean {
  const node = nodes.find(({ id }) => id === nodeId)
  return node !== undefined && whyNot(request, node, nodes) === undefined
}

/** Whether a replica should leave its node for a better one: only when that evens out a difference of two or more, so that nothing moves to and fro. */
export function betterNode(request: PlacementRequest, from: string, nodes: readonly PlacementNode[]): string | undefined {
  const here = nodes.find(({ id }) => id === from)
  if (here === undefined) return undefined
  const fitting = nodes.filter((node) => node.id !== from && whyNot(request, node, nodes) === undefined)
  if (fitting.length === 0) return undefined
  let target = fitting[0]
  for (const node of fitting) if (target !== undefined && isBetter(node, target, request.backend)) target = node
  if (target === undefined || countOf(here, request.backend) - countOf(target, request.backend) < 2) return undefined
  return target.id
}

function whyNot(request: PlacementRequest, node: PlacementNode, nodes: readonly PlacementNode[]): string | undefined {
  const { resources, placement, isolation, portability } = request
  if (!node.takesReplicas) return 'takes no replicas'
  if (portability === 'process' && !node.isSelf) return 'the code cannot travel'
  if (portability === 'machine' && node.machine !== nodes.find(({ isSelf }) => isSelf)?.machine) {
    return 'the code or an asset is a file, and was not bundled to travel to other machines'
  }
  if (node.onlyBackends !== undefined && !node.onlyBackends.includes(request.backend)) return 'runs only code that was registered there'
  if (!node.isolations.includes(isolation)) return `has no isolation '${isolation}'`
  if (placement.runtime !== 'any' && placement.runtime !== node.runtime) return `runs on ${node.runtime}, not ${placement.runtime}`
  if (!node.isTrusted && !placement.untrusted) return 'is not trusted'
  if (node.maxReplicas !== undefined && node.replicas >= node.maxReplicas) return `has its ${node.maxReplicas} replicas`
  for (const [label, value] of Object.entries(placement.labels)) {
    if (node.labels[label] !== value) return `label ${label} is ${node.labels[label] ?? 'missing'}, not ${value}`
  }
  for (const [name, need] of amountsOf(resources)) {
    const free = amountOf(node.offered, name) - amountOf(node.taken, name)
    if (need > 0 && need > free + SLACK) return `asks for ${need} ${name}, ${Math.max(0, free)} of ${amountOf(node.offered, name)} are free`
  }
  return undefined
}

function isBetter(a: PlacementNode, b: PlacementNode, backend: string): boolean {
  const byBackend = countOf(a, backend) - countOf(b, backend)
  if (byBackend !== 0) return byBackend < 0
  const byLoad = loadOf(a) - loadOf(b)
  if (Math.abs(byLoad) > SLACK) return byLoad < 0
  if (a.isSelf !== b.isSelf) return a.isSelf
  return a.id < b.id
}

const countOf = (node: PlacementNode, backend: string): number => node.replicasOf[backend] ?? 0

const loadOf = (node: PlacementNode): number => node.replicas / Math.max(1, node.offered.cpu)
