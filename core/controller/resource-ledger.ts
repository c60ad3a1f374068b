import { ServeError } from '../base/index.ts'
import type { ResolvedReplicaOptions, ResolvedResources } from '../model/index.ts'
import type { ReplicaCode } from '../replica/index.ts'

/** Rounding of sums of fractions of a processor. */
export const SLACK = 1e-9

/** Keeps count of what replicas ask for. Where there are several nodes it chooses one. */
export interface Ledger {
  /** Takes what one replica asks for. `ERR_INFEASIBLE` when it fits nowhere; nothing is taken then. */
  take(backend: string, replicaId: string, asked: ResolvedResources, wishes?: ReplicaWishes): void
  /** Gives back what a replica had; unknown ids have nothing. */
  giveBack(replicaId: string): void
}

/** How far code and its files can travel: not out of this process, to peers on this machine, or to any peer. */
export type Portability = 'process' | 'machine' | 'anywhere'

/** Where a replica may run, beyond what it asks for. */
export interface ReplicaWishes {
  readonly options: ResolvedReplicaOptions
  /** What would have to travel. */
  readonly code: ReplicaCode
  readonly initArgs: readonly unknown[]
}

/**
 * What a node offers and what its replicas have asked for. Nothing is accounted for a replica that asks for nothing; memory and processors are
 * promises kept by arithmetic, not walls.
 */
export class ResourceLedger implements Ledger {
  readonly #offered: ResolvedResources
  readonly #taken = new Map<string, ResolvedResources>()

  constructor(offered: ResolvedResources) {
    this.#offered = offered
  }

  /** Takes what one replica asks for. `ERR_INFEASIBLE`, naming what is short, when it does not fit; nothing is taken then. */
  take(backend: string, replicaId: string, asked: ResolvedResources): void {
    for (const [name, need] of amountsOf(asked)) {
      if (need === 0) continue
      const free = this.#free(name)
      if (need <= free + SLACK) continue
      const message = `Cannot scale backend ${backend}: a replica asks for ${need} ${name}, ${Math.max(0, free)} of ${amountOf(this.#offered, name)} are free`
      throw new ServeError('ERR_INFEASIBLE', message, { details: { backend, resource: name, need, free } })
    }
    this.#taken.set(replicaId, asked)
  }

  /** Gives back what a replica had; unknown ids have nothing. */
  giveBack(replicaId: string): void {
    this.#taken.delete(replicaId)
  }

  #free(name: string): number {
    let free = amountOf(this.#offered, name)
    for (const taken of this.#taken.values()) free -= amountOf(taken, name)
    return free
  }
}

export function amountsOf({ custom, ...rest }: ResolvedResources): [name: string, amount: number][] {
  return [...Object.entries(rest), ...Object.entries(custom).map(([name, amount]): [string, number] => [`custom.${name}`, amount])]
}

export function amountOf({ custom, ...rest }: ResolvedResources, name: string): number {
  return name.startsWith('custom.') ? (custom[name.slice(7)] ?? 0) : rest[name as keyof typeof rest]
}
