import type { Epoch, TablePush, TableTaken } from '../../core/mesh/index.ts'
import { toPush } from '../../core/mesh/stamped-table.ts'
import { compareEpochs } from '../../core/mesh/versioned-map.ts'
import { emptyRoutingTable, type RoutingTable } from '../../core/model/index.ts'

const NOTHING = Object.freeze({ epoch: Object.freeze({ term: 0, controllerId: '' }), table: emptyRoutingTable() })

/** What a feed knows of one who listens. */
export interface FeedSeat {
  /** How a push was taken there, and which epoch that one obeys. */
  heard(taken: TableTaken, epoch: Epoch): void
  stop(): void
}

interface Listener {
  readonly send: (push: TablePush) => void
  has: { readonly epoch: Epoch; readonly table: RoutingTable }
}

/**
 * What gives tables to peers where no hub does: in the simulations of the group alone. Gives the table to those who listen, as deltas. The acting controller feeds what it publishes, a standby passes on what it was fed: a peer that
 * reaches only one of them has the table all the same. The way to a listener must lose nothing while it stands.
 */
export class TableFeed {
  readonly #listeners = new Set<Listener>()
  readonly #onGreater: (epoch: Epoch) => void
  #current: Listener['has'] = NOTHING
  #lastPush: { readonly from: Listener['has']; readonly to: Listener['has']; readonly push: TablePush } | undefined

  /** @param onGreater a listener obeys a greater epoch than this feed has */
  constructor(onGreater: (epoch: Epoch) => void) {
    this.#onGreater = onGreater
  }

  /** A table of the epoch; one that is not later than the current changes nothing. */
  publish(epoch: Epoch, table: RoutingTable): void {
    const order = compareEpochs(epoch, this.#current.epoch)
    if (order < 0 || (order === 0 && table.version <= this.#current.table.version)) return
    this.#current = Object.freeze({ epoch, table })
    for (const listener of this.#listeners) this.#push(listener)
  }

  /** From now on, beginning with the whole table; `has` is what that one says it has, of which only the current stamp saves anything. */
  listen(send: (push: TablePush) => void, has?: { readonly epoch: Epoch; readonly version: number }): FeedSeat {
    const { epoch, table } = this.#current
    const isCurrent = has !== undefined && has.version === table.version && compareEpochs(has.epoch, epoch) === 0
    const listener: Listener = { send, has: isCurrent ? this.#current : NOTHING }
    this.#listeners.add(listener)
    if (has !== undefined) this.#note(has.epoch)
    this.#push(listener)
    return {
      heard: (taken, theirs) => {
        if (taken === 'stale') this.#note(theirs)
        if (taken !== 'misfit' || !this.#listeners.has(listener)) return
        listener.has = NOTHING
        this.#push(listener)
      },
      stop: () => void this.#listeners.delete(listener),
    }
  }

  #note(epoch: Epoch): void {
    if (compareEpochs(epoch, this.#current.epoch) > 0) this.#onGreater(epoch)
  }

  #push(listener: Listener): void {
    const { epoch, table } = this.#current
    if (table.version === 0 || listener.has === this.#current) return
    // Nearly all listeners have the same table before a change: the difference is worked out once for all of them.
    const last = this.#lastPush
    const push = last?.from === listener.has && last.to === this.#current ? last.push : toPush(listener.has, epoch, table)
    this.#lastPush = { from: listener.has, to: this.#current, push }
    listener.has = this.#current
    listener.send(push)
  }
}
