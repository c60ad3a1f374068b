import { expect } from 'chai'
import { type Epoch, TableFollower, type TablePush, type TableTaken } from '../../core/mesh/index.ts'
import type { EndpointEntry, RoutingTable } from '../../core/model/index.ts'
import { TableFeed } from './table-feed.ts'

const OLD: Epoch = { term: 1, controllerId: 'c0' }
const NEW: Epoch = { term: 2, controllerId: 'c1' }

const METHODS: readonly string[] = []
const POLICY: EndpointEntry['policy'] = { entries: [], shadows: [] }
const endpoint = (name: string): EndpointEntry => ({ name, route: null, methods: METHODS, policy: POLICY })
const table = (version: number, ...names: string[]): RoutingTable => ({
  version,
  endpoints: new Map(names.map((name) => [name, endpoint(name)])),
  backends: new Map(),
})

/** A peer that listens, and what was pushed to it. */
function listener(feed: TableFeed) {
  const follower = new TableFollower()
  const pushes: TablePush[] = []
  const took: TableTaken[] = []
  const seat = feed.listen(
    (push) => {
      pushes.push(push)
      const taken = follower.take(push)
      took.push(taken)
      queueMicrotask(() => seat.heard(taken, follower.epoch))
    },
    { epoch: follower.epoch, version: follower.table.version },
  )
  return { follower, pushes, took, seat }
}

describe('a feed of routing tables', () => {
  it('gives the whole table first and only what changes afterwards', () => {
    const feed = new TableFeed(() => {})
    feed.publish(OLD, table(1, 'a', 'b'))
    const { follower, pushes } = listener(feed)
    feed.publish(OLD, table(2, 'b', 'c'))
    expect(pushes.map(({ delta }) => [delta.from, delta.to, delta.endpoints.length, delta.goneEndpoints])).to.deep.equal([
      [0, 1, 2, []],
      [1, 2, 1, ['a']],
    ])
    expect([...follower.table.endpoints.keys()].sort()).to.deep.equal(['b', 'c'])
  })

  it('gives the whole table again under a new epoch, whose versions count anew', () => {
    const feed = new TableFeed(() => {})
    feed.publish(OLD, table(7, 'a'))
    const { follower, pushes } = listener(feed)
    feed.publish(NEW, table(1, 'b'))
    expect(pushes.map(({ delta }) => delta.from)).to.deep.equal([0, 0])
    expect([follower.epoch, follower.table.version]).to.deep.equal([NEW, 1])
  })

  it('publishes nothing that is older than what it has', () => {
    const feed = new TableFeed(() => {})
    feed.publish(NEW, table(2, 'b'))
    const { pushes } = listener(feed)
    feed.publish(OLD, table(9, 'a'))
    feed.publish(NEW, table(1, 'a'))
    expect(pushes).to.have.length(1)
  })

  it('says nothing to one who has the current table', () => {
    const feed = new TableFeed(() => {})
    feed.publish(OLD, table(3, 'a'))
    const pushes: TablePush[] = []
    feed.listen((push) => pushes.push(push), { epoch: OLD, version: 3 })
    expect(pushes).to.deep.equal([])
  })

  it('hears of a greater epoch from one who obeys it', async () => {
    const greater: Epoch[] = []
    const feed = new TableFeed((epoch) => greater.push(epoch))
    const { follower, took } = listener(feed)
    follower.take({ epoch: NEW, delta: { from: 0, to: 1, endpoints: [], goneEndpoints: [], backends: [], goneBackends: [] } })
    feed.publish(OLD, table(1, 'a'))
    await Promise.resolve()
    expect([took, greater]).to.deep.equal([['stale'], [NEW]])
    expect(follower.table.version).to.equal(1)
  })

  it('starts over with one for whom a delta does not fit', async () => {
    const feed = new TableFeed(() => {})
    feed.publish(OLD, table(1, 'a'))
    const { follower, pushes, took } = listener(feed)
    follower.take({ epoch: OLD, delta: { from: 0, to: 2, endpoints: [], goneEndpoints: [], backends: [], goneBackends: [] } })
    feed.publish(OLD, table(3, 'b'))
    await Promise.resolve()
    expect([took, pushes.at(-1)?.delta.from]).to.deep.equal([['taken', 'misfit', 'taken'], 0])
    expect([...follower.table.endpoints.keys()]).to.deep.equal(['b'])
  })

  it('takes no delta of another epoch for its own', () => {
    const follower = new TableFollower()
    follower.take({ epoch: OLD, delta: { from: 0, to: 1, endpoints: [endpoint('a')], goneEndpoints: [], backends: [], goneBackends: [] } })
    const delta = { from: 1, to: 2, endpoints: [], goneEndpoints: [], backends: [], goneBackends: [] }
    expect([follower.take({ epoch: NEW, delta }), follower.epoch]).to.deep.equal(['misfit', OLD])
  })

  it('stops when told to', () => {
    const feed = new TableFeed(() => {})
    const { pushes, seat } = listener(feed)
    seat.stop()
    feed.publish(OLD, table(1, 'a'))
    expect(pushes).to.deep.equal([])
  })
})
