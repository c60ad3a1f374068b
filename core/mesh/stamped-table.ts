import { emptyRoutingTable, type RoutingTable } from '../model/index.ts'
import { applyDelta, diffTables, type TableDelta } from './table-delta.ts'
import { compareEpochs, type Epoch } from './versioned-map.ts'

/** A table as it travels: whose it is, and what changes. Plain data. */
export interface TablePush {
  readonly epoch: Epoch
  readonly delta: TableDelta
}

/** How a peer took a table: `stale` when it obeys a greater epoch, `misfit` when it needs the whole. */
export type TableTaken = 'taken' | 'stale' | 'misfit'

/** What makes `from` of that epoch a table of this one; whole when the epochs differ, since versions count from the start in each. */
export function toPush(from: { readonly epoch: Epoch; readonly table: RoutingTable }, epoch: Epoch, table: RoutingTable): TablePush {
  const before = compareEpochs(from.epoch, epoch) === 0 ? from.table : emptyRoutingTable()
  return { epoch, delta: diffTables(before, table) }
}

/** A peer's end: its table never goes back, neither in epoch nor in version, whatever controllers push and however late. */
export class TableFollower {
  #epoch: Epoch = Object.freeze({ term: 0, controllerId: '' })
  #table: RoutingTable = emptyRoutingTable()

  /** The greatest epoch of which a table was taken. */
  get epoch(): Epoch {
    return this.#epoch
  }

  get table(): RoutingTable {
    return this.#table
  }

  take({ epoch, delta }: TablePush): TableTaken {
    const order = compareEpochs(epoch, this.#epoch)
    if (order < 0) return 'stale'
    if (order > 0 && delta.from !== 0) return 'misfit'
    if (order === 0 && delta.to < this.#table.version) return 'taken'
    const table = applyDelta(this.#table, delta)
    if (table === undefined) return 'misfit'
    this.#epoch = Object.freeze({ ...epoch })
    this.#table = table
    return 'taken'
  }
}
