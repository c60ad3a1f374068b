import { expect } from 'chai'
import { failure } from '../../support/failure.ts'
import { settle } from '../../support/fake-clock.ts'
import { GroupBench } from '../../support/group-bench.ts'

describe('a group of controllers', () => {
  it('lets its founder act at once', async () => {
    const bench = new GroupBench()
    const group = await bench.start('c0')
    expect([group.role, group.leader]).to.deep.equal(['acting', { term: 1, controllerId: 'c0' }])
  })

  it('never lets a standby act that knew nobody who did', async () => {
    const bench = new GroupBench()
    const group = await bench.start('c1')
    await bench.advance(60_000)
    expect(group.role).to.equal('standby')
  })

  it('takes over the store of a controller that was alone before', async () => {
    const bench = new GroupBench()
    bench.disks.set('c0', new Map([['backend/a', 1]]))
    const group = await bench.start('c0')
    expect(group.map.get('backend/a')).to.deep.include({ value: 1, version: { term: 0, controllerId: 'c0', sequence: 1 } })
  })

  it('refuses edits on a standby with ERR_NO_CONTROLLER', async () => {
    const bench = await GroupBench.pair()
    const error = await failure(bench.group('c1').edit([{ key: 'k', value: 1 }]))
    expect([error.code, error.outcome]).to.deep.equal(['ERR_NO_CONTROLLER', 'not-started'])
  })

  it('acknowledges an edit alone when no other controller is connected', async () => {
    const bench = new GroupBench()
    const group = await bench.start('c0')
    expect(await group.edit([{ key: 'k', value: 1 }])).to.deep.equal({ term: 1, controllerId: 'c0', sequence: 1 })
  })

  it('acknowledges an edit only when another connected controller has it on its disk', async () => {
    const bench = await GroupBench.pair()
    bench.passes = (from, _to, message) => from !== 'c0' || message.kind !== 'delta'
    let isDone = false
    const edit = bench.group('c0').edit([{ key: 'k', value: 1 }])
    void edit.then(() => {
      isDone = true
    })
    await bench.advance(2_000)
    expect([isDone, bench.disks.get('c1')?.has('entry/k')]).to.deep.equal([false, false])
    bench.passes = () => true
    await bench.advance(1_000)
    await edit
    expect(bench.disks.get('c1')?.has('entry/k')).to.equal(true)
  })

  it('waits no longer for a controller that says nothing for its lease', async () => {
    const bench = await GroupBench.pair()
    bench.passes = () => false
    const edit = bench.group('c0').edit([{ key: 'k', value: 1 }])
    await bench.advance(6_000)
    expect((await edit)?.sequence).to.equal(1)
  })

  it('takes no other controller for gone because it was asleep itself', async () => {
    const bench = await GroupBench.pair()
    bench.passes = (_from, _to, message) => message.kind !== 'delta'
    const now = bench.clock.nowMs.bind(bench.clock)
    bench.clock.nowMs = () => now() + 60_000
    let isDone = false
    void bench
      .group('c0')
      .edit([{ key: 'k', value: 1 }])
      .then(() => {
        isDone = true
      })
    await bench.advance(3_000)
    expect(isDone).to.equal(false)
  })

  it('hands over to a standby, under a greater term and with the state, 5 s after the acting one was last seen', async () => {
    const bench = await GroupBench.pair()
    await bench.group('c0').edit([{ key: 'k', value: 1 }])
    await bench.cut('c0', 'c1')
    await bench.advance(5_000)
    expect(bench.group('c1').role).to.equal('standby')
    await bench.advance(2_000)
    expect(bench.group('c1').leader).to.deep.equal({ term: 2, controllerId: 'c1' })
    expect(bench.group('c1').map.values.get('k')).to.equal(1)
  })

  it('leaves the acting controller alone when another standby still sees it', async () => {
    const bench = await GroupBench.pair()
    await bench.start('c2')
    await bench.connect('c0', 'c2')
    await bench.connect('c1', 'c2')
    await bench.cut('c0', 'c1')
    await bench.advance(30_000)
    expect(bench.group('c1').role).to.equal('standby')
  })

  it('lets two standbys that only hear of each other take over all the same', async () => {
    const bench = await GroupBench.pair()
    await bench.start('c2')
    await bench.connect('c0', 'c2')
    await bench.connect('c1', 'c2')
    await bench.cut('c0', 'c1')
    await bench.cut('c0', 'c2')
    await bench.advance(8_000)
    expect([bench.group('c1').role, bench.group('c2').role].filter((role) => role === 'acting')).to.have.length(1)
  })

  it('makes the stale one stand by on first contact', async () => {
    const bench = await GroupBench.pair()
    await bench.cut('c0', 'c1')
    await bench.advance(7_000)
    expect(bench.group('c0').role).to.equal('acting')
    await bench.connect('c0', 'c1')
    expect([bench.group('c0').role, bench.group('c1').role]).to.deep.equal(['standby', 'acting'])
  })

  it('keeps both sides’ edits of different keys, and of one key the greater version, and reports the other everywhere', async () => {
    const bench = await GroupBench.pair()
    await bench.cut('c0', 'c1')
    await bench.advance(7_000)
    await bench.group('c0').edit([
      { key: 'left', value: 1 },
      { key: 'both', value: 'old side' },
    ])
    await bench.group('c1').edit([
      { key: 'right', value: 2 },
      { key: 'both', value: 'new side' },
    ])
    await bench.connect('c0', 'c1')
    await bench.advance(1_000)
    for (const id of ['c0', 'c1']) {
      expect(Object.fromEntries(bench.group(id).map.values)).to.deep.equal({ left: 1, right: 2, both: 'new side' })
      const conflicts = bench.events.get(id)?.filter(({ kind }) => kind === 'conflict')
      expect(conflicts).to.deep.equal([
        {
          kind: 'conflict',
          key: 'both',
          kept: { term: 2, controllerId: 'c1', sequence: 2 },
          lost: { term: 1, controllerId: 'c0', sequence: 2 },
        },
      ])
    }
  })

  it('fails an edit that waits when another controller took over, with outcome started-unknown', async () => {
    const bench = await GroupBench.pair()
    bench.passes = (_from, _to, message) => message.kind !== 'delta'
    const edit = failure(bench.group('c0').edit([{ key: 'k', value: 1 }]))
    await settle(3)
    bench.group('c0').noteLeader({ term: 9, controllerId: 'c1' })
    expect([(await edit).code, (await edit).outcome]).to.deep.equal(['ERR_NO_CONTROLLER', 'started-unknown'])
  })

  it('steps down before it takes in an entry of a later epoch', async () => {
    const bench = await GroupBench.pair()
    const seat = bench.group('c0').attach('c2', () => {})
    const entry = { key: 'k', version: { term: 4, controllerId: 'c2', sequence: 1 }, seen: {}, value: 1 }
    seat.receive({ kind: 'entries', entries: [entry] })
    await settle(3)
    expect([bench.group('c0').role, bench.group('c0').leader.term]).to.deep.equal(['standby', 4])
  })

  it('never acts twice under one term, not even after a restart', async () => {
    const bench = new GroupBench()
    await bench.start('c0')
    await bench.group('c0').close()
    expect((await bench.start('c0')).leader.term).to.equal(2)
  })

  it('waits for its lease after a restart when it knows others: one of them may act', async () => {
    const bench = await GroupBench.pair()
    await settle(3)
    await bench.group('c0').close()
    const again = await bench.start('c0')
    expect(again.role).to.equal('standby')
    await bench.advance(7_000)
    expect(again.role).to.equal('acting')
  })

  it('grants the acting one a new lease after it was asleep itself', async () => {
    const bench = await GroupBench.pair()
    bench.passes = () => false
    // One long turn in which no timer of any controller ran: only the clock went on.
    const now = bench.clock.nowMs.bind(bench.clock)
    let sleptMs = 0
    bench.clock.nowMs = () => now() + sleptMs
    sleptMs = 60_000
    await bench.advance(3_000)
    expect(bench.group('c1').role).to.equal('standby')
    await bench.advance(5_000)
    expect(bench.group('c1').role).to.equal('acting')
  })

  it('is repaired by digests when an entry is missing that the vector claims', async () => {
    const bench = await GroupBench.pair()
    await bench.group('c0').edit([{ key: 'k', value: 1 }])
    await bench.group('c1').close()
    bench.disks.get('c1')?.delete('entry/k')
    await bench.cut('c0', 'c1')
    await bench.start('c1')
    await bench.connect('c0', 'c1')
    await bench.advance(2_000)
    expect(bench.group('c1').map.values.get('k')).to.equal(1)
  })

  /** `c1` has led in a partition, with an edit, has ended, and is there again; `c0` acts all the time. */
  async function vacantTerm(): Promise<GroupBench> {
    const bench = await GroupBench.pair()
    await bench.cut('c0', 'c1')
    await bench.advance(7_000)
    await bench.group('c1').edit([{ key: 'right', value: 2 }])
    await bench.group('c1').close()
    await bench.start('c1')
    return bench
  }

  it('goes on acting, under a later term and with its edits, when the one that was given a greater term stands by', async () => {
    const bench = await vacantTerm()
    const eventsBefore = bench.events.get('c0')?.length ?? 0
    await bench.connect('c0', 'c1')
    await bench.advance(1_000)
    const roles = bench.events
      .get('c0')
      ?.slice(eventsBefore)
      .filter((event) => event.kind === 'role')
    expect(roles?.map(({ role, leader }) => [role, leader.term])).to.deep.equal([['acting', 3]])
    expect(['c0', 'c1'].map((id) => bench.group(id).leader)).to.deep.equal(Array(2).fill({ term: 3, controllerId: 'c0' }))
    expect(bench.group('c0').map.values.get('right')).to.equal(2)
  })

  it('acts again at once when it has made way for one that stands by', async () => {
    const bench = await vacantTerm()
    bench.group('c0').noteLeader({ term: 2, controllerId: 'c1' })
    const roleBefore = bench.group('c0').role
    await bench.connect('c0', 'c1')
    await bench.advance(1_000)
    expect([roleBefore, bench.group('c0').role, bench.group('c0').leader.term]).to.deep.equal(['standby', 'acting', 3])
  })

  it('answers a delta only when that was news: two that know of an edit that no vector has would go on for ever', async () => {
    const bench = await GroupBench.pair()
    await bench.group('c0').edit([{ key: 'k', value: 1 }])
    const told: string[] = []
    const seat = bench.group('c0').attach('c2', ({ kind }) => told.push(kind))
    const entry = { key: 'lone', version: { term: 1, controllerId: 'c2', sequence: 1 }, seen: {}, value: 1 }
    const { vector } = bench.group('c0').map
    const tell = async (): Promise<number> => {
      told.length = 0
      seat.receive({ kind: 'delta', delta: { from: vector, to: vector, entries: [entry] } })
      await settle(3)
      return told.length
    }
    bench.group('c0').noteLeader({ term: 2, controllerId: 'c1' })
    expect([await tell(), await tell()]).to.deep.equal([1, 0])
  })

  it('settles on one when two go on at once above the same term', async () => {
    const bench = await GroupBench.pair()
    await bench.start('c2')
    await bench.connect('c0', 'c2')
    await bench.cut('c0', 'c1')
    await bench.cut('c0', 'c2')
    await bench.advance(7_000)
    await bench.group('c2').close()
    await bench.start('c2')
    expect(['c0', 'c1', 'c2'].map((id) => bench.group(id).role)).to.deep.equal(['acting', 'acting', 'standby'])
    await Promise.all([bench.connect('c0', 'c2'), bench.connect('c1', 'c2')])
    await bench.advance(1_000)
    const acted = bench.events.get('c0')?.some((event) => event.kind === 'role' && event.role === 'acting' && event.leader.term === 3)
    expect(acted).to.equal(true)
    expect(['c0', 'c1', 'c2'].map((id) => bench.group(id).role)).to.deep.equal(['standby', 'acting', 'standby'])
    expect(['c0', 'c1', 'c2'].map((id) => bench.group(id).leader)).to.deep.equal(Array(3).fill({ term: 3, controllerId: 'c1' }))
  })

  it('gives its state as a store that overwrites no edit of another controller before it has loaded it', async () => {
    const bench = await vacantTerm()
    const store = bench.group('c0').asStore()
    await store.load()
    await bench.connect('c0', 'c1')
    await bench.advance(1_000)
    const error = await failure(store.put([{ key: 'right', value: 3 }]))
    expect([error.code, error.outcome]).to.deep.equal(['ERR_NO_CONTROLLER', 'not-started'])
    await store.load()
    await store.put([{ key: 'right', value: 3 }])
    expect(bench.group('c0').map.get('right')).to.deep.include({ value: 3, version: { term: 3, controllerId: 'c0', sequence: 1 } })
  })

  it('gives its state as a store that makes no edit of what stands already', async () => {
    const bench = new GroupBench()
    const store = (await bench.start('c0')).asStore()
    await store.put([{ key: 'a', value: { list: [1] } }])
    const before = bench.group('c0').map.get('a')?.version
    await store.put([{ key: 'a', value: { list: [1] } }, { key: 'never' }])
    expect([bench.group('c0').map.get('a')?.version, bench.group('c0').map.size]).to.deep.equal([before, 1])
  })

  it('gives its state as a store whose puts are edits', async () => {
    const bench = new GroupBench()
    const store = (await bench.start('c0')).asStore()
    await store.put([{ key: 'a', value: 1 }])
    await store.put([{ key: 'a' }, { key: 'b', value: 2 }])
    expect(Object.fromEntries(await store.load())).to.deep.equal({ b: 2 })
  })

  it('fails edits after it was closed with ERR_CLIENT_CLOSED, and leaves no timer behind', async () => {
    const bench = await GroupBench.pair()
    for (const group of bench.groups.values()) await group.close()
    expect((await failure(bench.group('c0').edit([{ key: 'k', value: 1 }]))).code).to.equal('ERR_CLIENT_CLOSED')
    expect(bench.clock.pendingTimers).to.equal(0)
  })
})
