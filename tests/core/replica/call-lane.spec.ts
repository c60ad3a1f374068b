import { expect } from 'chai'
import type { ServeError } from '../../../core/base/index.ts'
import type { LaneOwner } from '../../../core/replica/index.ts'
import { AnswerKind, type StreamAnswer } from '../../../core/request/index.ts'
import { type Call, CallState } from '../../../core/service/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeReplica, type FakeReplicaOptions } from '../../support/fake-replica.ts'
import { makeCall } from '../../support/make-call.ts'
import { ManualTurns } from '../../support/manual-turns.ts'

/** Notes what a lane tells its owner. */
class RecordingOwner implements LaneOwner {
  readonly answers: { readonly call: Call; readonly kind: number; readonly value: unknown }[] = []
  readonly errors: { readonly call: Call; readonly error: ServeError }[] = []
  readonly done: Call[] = []
  readonly chunks: Call[] = []
  messages = 0
  onAnswer(call: Call, kind: number, value: unknown): void {
    this.answers.push({ call, kind, value })
  }
  onError(call: Call, error: ServeError): void {
    this.errors.push({ call, error })
  }
  onDone(call: Call): void {
    this.done.push(call)
  }
  onChunk(call: Call): void {
    this.chunks.push(call)
  }
  onMessageEnd(): void {
    this.messages++
  }
}

function setup(options: FakeReplicaOptions = {}) {
  const clock = new FakeClock()
  const turns = new ManualTurns()
  const owner = new RecordingOwner()
  const replica = new FakeReplica(owner, clock, turns, options)
  /** Stages and sends one call per value. */
  const send = (...data: unknown[]): Call[] => {
    const calls = data.map((value) => makeCall({ data: value }).call)
    for (const call of calls) replica.lane.stage(call)
    replica.lane.post(clock.nowMs())
    turns.run()
    return calls
  }
  return { clock, turns, owner, replica, lane: replica.lane, send }
}

describe('CallLane', () => {
  it('sends primitives in one message, and what has an identity in one each', () => {
    const { replica, send } = setup()
    send(1, { a: 1 }, 'two', { a: 2 })
    expect(replica.messages.map((message) => message.map(({ data }) => data))).to.deep.equal([[1, 'two'], [{ a: 1 }], [{ a: 2 }]])
  })

  it('gives two calls with one object an object each', () => {
    const { replica, send } = setup()
    const shared = { list: [1] }
    send(shared, shared)
    expect(replica.data).to.deep.equal([shared, shared])
    expect(replica.data[0]).not.to.equal(replica.data[1])
  })

  it('sends text beyond 64 Ki characters at once', () => {
    const { replica, turns, lane } = setup()
    lane.stage(makeCall({ data: 'x'.repeat(70_000) }).call)
    turns.run()
    expect(replica.messages).to.have.lengthOf(1)
  })

  it('tells the replica the whole milliseconds left, at least one', () => {
    const { clock, replica, turns, lane } = setup()
    for (const deadlineAtMs of [10.2, -5]) lane.stage(Object.assign(makeCall().call, { deadlineAtMs }))
    lane.post(clock.nowMs())
    turns.run()
    expect(replica.held.map(({ msLeft }) => msLeft)).to.deep.equal([11, 1])
  })

  it('tells its owner of an answer and then that the slot is free', () => {
    const { owner, replica, turns, lane, send } = setup()
    const [call] = send('a')
    replica.answer('b')
    turns.run()
    expect(owner.answers).to.deep.equal([{ call, kind: AnswerKind.VALUE, value: 'b' }])
    expect(owner.done).to.deep.equal([call])
    expect(lane.outstanding).to.equal(0)
    expect(owner.messages).to.equal(1)
  })

  it('lets a late or a second answer fall through', () => {
    const { owner, replica, turns, send } = setup()
    send('a')
    const [held] = replica.held
    replica.answer('b')
    replica.answer('c', held!)
    replica.post(9_999, AnswerKind.VALUE, 'd')
    turns.run()
    expect(owner.answers).to.have.lengthOf(1)
  })

  it('lets a late answer fall through although another call has its slot by now', () => {
    const { owner, replica, turns, send } = setup()
    for (let i = 0; i <= 512; i++) {
      send(i)
      if (i < 512) replica.answer()
      turns.run()
    }
    const { id } = replica.held[0]!
    replica.post(id - 512, AnswerKind.VALUE, 'late')
    turns.run()
    expect(owner.answers).to.have.lengthOf(512)
  })

  it('leaves a call in its slot that takes longer than all the slots take to be used once', () => {
    const { owner, replica, turns, send } = setup()
    const [slow] = send('slow')
    const [held] = replica.held
    for (let i = 0; i < 600; i++) {
      send(i)
      replica.answer(i, replica.held[1])
      turns.run()
    }
    replica.answer('at last', held)
    turns.run()
    expect(owner.answers).to.have.lengthOf(601)
    expect(owner.answers.at(-1)).to.include({ call: slow, value: 'at last' })
  })

  it('gives the error of a replica with code, outcome and cause', () => {
    const { owner, replica, turns, send } = setup()
    send('a')
    replica.fail({ name: 'TaskError', message: 'm', code: 'ERR_TASK', outcome: 'completed', cause: { name: 'TypeError', message: 't' } })
    turns.run()
    const { error } = owner.errors[0]!
    expect([error.code, error.outcome, (error.cause as Error).name]).to.deep.equal(['ERR_TASK', 'completed', 'TypeError'])
  })

  it('fails only the call whose data cannot travel, naming the path, as not started', () => {
    const { owner, replica, lane, send } = setup()
    const [bad] = send({ model: { session: () => {} } }, { fine: true })
    expect(owner.errors.map(({ call }) => call)).to.deep.equal([bad])
    const { error } = owner.errors[0]!
    expect([error.code, error.outcome, error.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'not-started', 'data.model.session'])
    expect(replica.data).to.deep.equal([{ fine: true }])
    expect(lane.outstanding).to.equal(1)
    expect(owner.done).to.deep.equal([bad])
  })

  it('names the args when they are what cannot travel', () => {
    const { owner, turns, lane } = setup()
    lane.stage(makeCall({ meta: { a: { on: () => {} } } }).call)
    lane.post(0)
    turns.run()
    expect(owner.errors[0]!.error.details?.path).to.equal('args.on')
  })

  it('moves what a caller gives up, and copies the rest', () => {
    const { turns, lane } = setup()
    const given = new Uint8Array([1, 2])
    const kept = new Uint8Array([3])
    lane.stage(makeCall({ data: { given, kept }, transfer: [given.buffer] }).call)
    lane.post(0)
    turns.run()
    expect([given.byteLength, kept.byteLength]).to.deep.equal([0, 1])
  })

  it('keeps some 200 calls apart while their answers come in another order', () => {
    const { owner, replica, turns, send } = setup({ window: 256, shared: false })
    const calls = send(...Array.from({ length: 200 }, (_, i) => i))
    for (const held of [...replica.held].reverse()) replica.answer(`answer ${held.data}`, held)
    turns.run()
    expect(owner.answers).to.have.lengthOf(200)
    for (const { call, value } of owner.answers) expect(value).to.equal(`answer ${call.data}`)
    expect(new Set(owner.answers.map(({ call }) => call)).size).to.equal(calls.length)
  })

  it('grows its ring when more calls are in hand than it has slots', () => {
    const { owner, replica, turns, send } = setup({ window: 5_000, shared: false })
    send(...Array.from({ length: 3_000 }, (_, i) => i))
    for (const held of [...replica.held]) replica.answer(held.data, held)
    turns.run()
    expect(owner.answers).to.have.lengthOf(3_000)
    for (const { call, value } of owner.answers) expect(value).to.equal(call.data)
  })

  it('never has more in hand than half its shared memory can mark, whatever the window', () => {
    const { lane, send } = setup()
    lane.configure(10_000, false)
    let staged = 0
    while (lane.hasRoom) staged += send(staged).length
    expect(staged).to.equal(256)
  })

  describe('window', () => {
    it('starts at the limit of the backend', () => {
      const { lane, send } = setup({ window: 3 })
      send(1, 2, 3)
      expect(lane.hasRoom).to.equal(false)
    })

    it('grows to a millisecond of work for short calls, to 256 at most', () => {
      const { replica, turns, lane, send } = setup({ window: 10 })
      send(1, 2)
      replica.post(replica.held[0]!.id, AnswerKind.VALUE, 0, 20)
      turns.run()
      for (let i = 0; i < 48; i++) send(i)
      expect(lane.hasRoom).to.equal(true)
      send(49)
      expect(lane.hasRoom).to.equal(false)
    })

    it('does not grow when the backend makes batches', () => {
      const { replica, turns, lane, send } = setup({ window: 4 })
      lane.configure(4, true)
      send(1, 2)
      replica.post(replica.held[0]!.id, AnswerKind.VALUE, 0, 1)
      turns.run()
      send(3, 4, 5)
      expect(lane.hasRoom).to.equal(false)
    })

    it('shrinks back when calls turn out to be long', () => {
      const { replica, turns, lane, send } = setup({ window: 2 })
      send(1, 2)
      for (const us of [1, 50_000]) replica.post(replica.held.shift()!.id, AnswerKind.VALUE, 0, us)
      turns.run()
      send(1, 2)
      expect(lane.hasRoom).to.equal(false)
    })
  })

  describe('load', () => {
    it('counts what is in hand times how long an answer takes', async () => {
      const { clock, replica, turns, lane, send } = setup()
      send('a', 'b')
      await clock.advance(40)
      replica.answer()
      turns.run()
      expect(lane.latencyMs).to.equal(40)
      expect(lane.load).to.equal(80)
    })

    it('takes no note of how fast a replica fails', async () => {
      const { clock, replica, turns, lane, send } = setup()
      send('a')
      const before = lane.latencyMs
      await clock.advance(40)
      replica.fail({ name: 'Error', message: 'm', code: 'ERR_TASK' })
      turns.run()
      expect(lane.latencyMs).to.equal(before)
    })

    it('measures until the answer, not until the word that a call was started', async () => {
      const { clock, replica, turns, lane, send } = setup({ shared: false })
      send('a')
      const before = lane.latencyMs
      await clock.advance(5)
      replica.start(replica.held[0]!)
      turns.run()
      expect(lane.latencyMs).to.equal(before)
      await clock.advance(35)
      replica.answer()
      turns.run()
      expect(lane.latencyMs).to.equal(40)
    })
  })

  describe('load on another node', () => {
    it('grows with the silence of a node that owes answers', async () => {
      const { clock, lane, send } = setup({ isRemote: true, shared: false })
      send('a', 'b')
      await clock.advance(500)
      expect(lane.load).to.equal(1_500)
    })

    it('is measured from the first call that is out, and from what was last heard', async () => {
      const { clock, replica, turns, lane, send } = setup({ isRemote: true, shared: false })
      await clock.advance(10_000)
      send('a', 'b')
      await clock.advance(20)
      replica.answer()
      turns.run()
      await clock.advance(30)
      expect(lane.load).to.equal(60)
    })

    it('has no silence where no answer is due', async () => {
      const { clock, replica, turns, lane, send } = setup({ isRemote: true, shared: false })
      send('a')
      await clock.advance(20)
      replica.answer()
      turns.run()
      await clock.advance(10_000)
      expect(lane.load).to.equal(20)
    })
  })

  describe('cancel', () => {
    it('tells the replica, and keeps the slot until it answers', () => {
      const { replica, turns, lane, send } = setup()
      const [call] = send('a')
      lane.cancel(call!)
      turns.run()
      expect(replica.cancelled).to.deep.equal([replica.held[0]!.id])
      expect(lane.outstanding).to.equal(1)
    })

    for (const [what, data] of [
      ['a primitive', 'a'],
      ['an object', { a: 1 }],
    ] as const) {
      it(`never sends a staged call with ${what} that was cancelled, and frees its slot`, () => {
        const { owner, replica, turns, lane } = setup()
        const [call, other] = [makeCall({ data }).call, makeCall({ data: 'other' }).call]
        lane.stage(call)
        lane.stage(other)
        lane.cancel(call)
        lane.post(0)
        turns.run()
        expect(replica.data).to.deep.equal(['other'])
        expect(replica.cancelled).to.have.lengthOf(0)
        expect(lane.outstanding).to.equal(1)
        expect(owner.done).to.deep.equal([call])
      })
    }

    it('does nothing for a call that is not here any more', () => {
      const { replica, turns, lane, send } = setup()
      const [call] = send('a')
      replica.answer()
      turns.run()
      lane.cancel(call!)
      turns.run()
      expect(replica.cancelled).to.have.lengthOf(0)
    })
  })

  describe('started calls', () => {
    for (const shared of [true, false]) {
      it(`are known ${shared ? 'by shared memory' : 'by message'}`, () => {
        const { replica, turns, lane, send } = setup({ shared })
        const [a, b] = send('a', 'b')
        replica.start(replica.held[0]!)
        turns.run()
        expect([lane.hasStarted(a!), lane.hasStarted(b!)]).to.deep.equal([true, false])
      })
    }

    it('are told of in one word where their numbers follow each other', () => {
      const { replica, turns, lane, send } = setup({ shared: false })
      const calls = send('a', 'b', 'c')
      replica.post(replica.held[0]!.id, AnswerKind.STARTED, 2)
      turns.run()
      expect(calls.map((call) => lane.hasStarted(call))).to.deep.equal([true, true, false])
    })

    it('are forgotten when another call takes their place', () => {
      const { replica, turns, lane, send } = setup()
      for (let i = 0; i < 512; i++) {
        send(i)
        replica.start(replica.held[0]!)
        replica.answer()
        turns.run()
      }
      const [call] = send('next round')
      expect(lane.hasStarted(call!)).to.equal(false)
    })
  })

  describe('close', () => {
    it('gives back every call in hand, once', () => {
      const { lane, send } = setup()
      const calls = send('a', 'b')
      expect(lane.close()).to.have.members(calls)
      expect(lane.close()).to.deep.equal([])
    })

    it('hears nothing afterwards', () => {
      const { owner, replica, turns, lane, send } = setup()
      send('a')
      replica.answer('late')
      lane.close()
      turns.run()
      expect([owner.answers.length, owner.messages]).to.deep.equal([0, 0])
    })
  })

  describe('streams', () => {
    function open() {
      const all = setup()
      const [call] = all.send('a')
      const { id } = all.replica.held[0]!
      all.replica.post(id, AnswerKind.STREAM, undefined)
      all.turns.run()
      const part = (value: unknown): void => all.replica.post(id, AnswerKind.CHUNK, value)
      return { ...all, call: call!, id, part, stream: all.owner.answers[0]!.value as StreamAnswer }
    }

    it('gives parts as they came, then the end, and only then the slot', async () => {
      const { owner, replica, turns, id, call, part, stream } = open()
      expect(call.state).to.equal(CallState.STREAMING)
      part(1)
      part(2)
      turns.run()
      expect(await stream.read()).to.deep.equal([1, 2])
      expect(owner.done).to.have.lengthOf(0)
      replica.post(id, AnswerKind.END, undefined)
      turns.run()
      expect(await stream.read()).to.equal(undefined)
      expect(owner.done).to.deep.equal([call])
    })

    it('wakes a reader that waits', async () => {
      const { turns, part, stream } = open()
      const reading = stream.read()
      part('x')
      turns.run()
      expect(await reading).to.deep.equal(['x'])
    })

    it('gives the parts that came before an error, then rejects with it', async () => {
      const { replica, turns, id, part, stream } = open()
      part('x')
      replica.post(id, AnswerKind.ERROR, { name: 'TaskError', message: 'm', code: 'ERR_TASK' })
      turns.run()
      expect(await stream.read()).to.deep.equal(['x'])
      const error = await stream.read().catch((thrown: ServeError) => thrown)
      expect((error as ServeError).code).to.equal('ERR_TASK')
    })

    it('gives no credit until the reader has taken half of the window', async () => {
      const { replica, turns, part, stream } = open()
      for (let i = 0; i < 15; i++) part(i)
      turns.run()
      await stream.read()
      turns.run()
      expect(replica.credits).to.have.lengthOf(0)
      part(15)
      turns.run()
      await stream.read()
      turns.run()
      expect(replica.credits.map(({ chunks }) => chunks)).to.deep.equal([16])
    })

    it('gives the credit of all streams in a message at once, so that their producers wake together', async () => {
      const { clock, owner, replica, turns, send } = setup()
      send('a', 'b')
      const ids = replica.held.map(({ id }) => id)
      for (const id of ids) replica.post(id, AnswerKind.STREAM, undefined)
      turns.run()
      const readings = owner.answers.map(({ value }) => (value as StreamAnswer).read())
      replica.postMixed(ids.flatMap((id) => new Array(32).fill([id, AnswerKind.CHUNK, clock.nowMs()])))
      turns.run()
      await Promise.all(readings)
      expect(replica.credits.map(({ id, chunks }) => [id, chunks])).to.deep.equal(ids.map((id) => [id, 64]))
      expect(replica.creditMessages).to.equal(1)
    })

    it('tells its owner of parts once for a message', () => {
      const { owner, replica, turns, id, call } = open()
      replica.postParts(id, 1, 2, 3)
      turns.run()
      expect(owner.chunks).to.deep.equal([call])
    })

    it('widens the window for a reader that waits for parts, up to 256', async () => {
      const { replica, turns, id, stream } = open()
      const windows: number[] = []
      for (let window = 32, round = 0; round < 6; round++) {
        const reading = stream.read()
        replica.postParts(id, ...new Array(window).fill('x'))
        turns.run()
        await reading
        turns.run()
        window = replica.credits.splice(0).reduce((sum, { chunks }) => sum + chunks, 0)
        windows.push(window)
      }
      expect(windows).to.deep.equal([64, 128, 256, 256, 256, 256])
    })

    it('does not widen the window for a reader that lets parts lie', async () => {
      const { replica, turns, part, stream } = open()
      for (let i = 0; i < 32; i++) part(i)
      turns.run()
      await stream.read()
      turns.run()
      expect(replica.credits.map(({ chunks }) => chunks)).to.deep.equal([32])
    })

    it('tells the replica when the reader lets go, and drops what still comes', async () => {
      const { owner, replica, turns, id, part, stream } = open()
      stream.cancel()
      part('late')
      turns.run()
      expect(replica.cancelled).to.deep.equal([id])
      expect(await stream.read()).to.equal(undefined)
      replica.post(id, AnswerKind.END, undefined)
      turns.run()
      expect(owner.done).to.have.lengthOf(1)
    })
  })
})
