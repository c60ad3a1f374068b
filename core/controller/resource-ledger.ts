import { ServeError } from '../base/index.ts'
import type { ResolvedResources } from '../model/index.ts'

/** Rounding of sums of fractions of a processor. */
const SLACK = 1e-9

/**
 * What a node offers and what its replicas have asked for. Nothing is accounted for a replica that asks for nothing; memory and processors are
 * promises kept by arithmetic, not walls.
 */
export class ResourceLedger {
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

function amountsOf({ custom, ...rest }: ResolvedResources): [name: string, amount: number][] {
  return [...Object.entries(rest), ...Object.entries(custom).map(([name, amount]): [string, number] => [`custom.${name}`, amount])]
}

function amountOf({ custom, ...rest }: ResolvedResources, name: string): number {
  return name.startsWith('custom.') ? (custom[name.slice(7)] ?? 0) : rest[name as keyof typeof rest]
}
