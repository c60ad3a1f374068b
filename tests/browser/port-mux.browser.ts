import { expect } from 'chai'
import { bridge, PortMux } from '../../browser/port-mux.ts'
import { type CallPort, createPortPair } from '../../core/replica/index.ts'
import { AnswerKind, CANCEL, CREDIT } from '../../core/request/index.ts'
import { ManualTurns } from '../support/manual-turns.ts'

type Frame = readonly unknown[]

/** A mux over a replica's port, with what came to each end. */
function setUp() {
  const turns = new ManualTurns()
  const [outer, replica] = createPortPair(turns)
  const mux = new PortMux(outer)
  const atReplica: Frame[] = []
  replica.listen((message) => atReplica.push(message))
  const openCaller = (): { port: CallPort; got: Frame[] } => {
    const port = mux.open()
    const got: Frame[] = []
    port.listen((message) => got.push(message))
    return { port, got }
  }
  return { turns, replica, atReplica, openCaller }
}

describe('the mux of a shared replica', () => {
  it('keeps two callers apart who number their calls alike', () => {
    const { turns, replica, atReplica, openCaller } = setUp()
    const [a, b] = [openCaller(), openCaller()]
    a.port.post([0, 10, 0, 'of a'])
    b.port.post([0, 10, 0, 'of b'])
    turns.run()
    const [[idOfA], [idOfB]] = atReplica as [Frame, Frame]
    replica.post([5, idOfB, AnswerKind.VALUE, 'for b', idOfA, AnswerKind.VALUE, 'for a'])
    turns.run()
    expect([a.got, b.got]).to.deep.equal([[[5, 0, AnswerKind.VALUE, 'for a']], [[5, 0, AnswerKind.VALUE, 'for b']]])
  })

  it('sends CANCEL and CREDIT under the number that the replica knows', () => {
    const { turns, atReplica, openCaller } = setUp()
    openCaller().port.post([7, 10, 0, 'first'])
    const { port } = openCaller()
    port.post([7, 10, 0, 'second'])
    port.post([CREDIT, 7, 3])
    port.post([CANCEL, 7])
    turns.run()
    const id = atReplica[1]?.[0]
    expect(id).not.to.equal(7)
    expect(atReplica.slice(2)).to.deep.equal([
      [CREDIT, id, 3],
      [CANCEL, id],
    ])
  })

  it('renumbers each credit of a message, and lets one of an unknown call mean nothing', () => {
    const { turns, atReplica, openCaller } = setUp()
    openCaller().port.post([5, 10, 0, 'of another'])
    const { port } = openCaller()
    port.post([7, 10, 0, 'a', 8, 10, 0, 'b'])
    port.post([CREDIT, 7, 3, 5, 9, 8, 4])
    turns.run()
    const [a, b] = [atReplica[1]?.[0], atReplica[1]?.[4]]
    expect(atReplica[2]).to.deep.equal([CREDIT, a, 3, -1, 9, b, 4])
  })

  it('tells each caller of its own calls that were started, under its own numbers', () => {
    const { turns, replica, atReplica, openCaller } = setUp()
    const [a, b] = [openCaller(), openCaller()]
    a.port.post([4, 10, 0, 'a', 9, 10, 0, 'b'])
    b.port.post([4, 10, 0, 'c'])
    turns.run()
    replica.post([5, atReplica[0]?.[0], AnswerKind.STARTED, 3])
    turns.run()
    expect(a.got).to.deep.equal([[5, 4, AnswerKind.STARTED, 1, 9, AnswerKind.STARTED, 1]])
    expect(b.got).to.deep.equal([[5, 4, AnswerKind.STARTED, 1]])
  })

  it('keeps a stream open until it ends, and no longer', () => {
    const { turns, replica, atReplica, openCaller } = setUp()
    const { port, got } = openCaller()
    port.post([1, 10, 0, 'parts'])
    turns.run()
    const id = atReplica[0]?.[0]
    replica.post([
      0,
      id,
      AnswerKind.STREAM,
      undefined,
      id,
      AnswerKind.CHUNK,
      'a',
      id,
      AnswerKind.END,
      undefined,
      id,
      AnswerKind.CHUNK,
      'late',
    ])
    turns.run()
    expect(got.flat().filter((slot) => typeof slot === 'string')).to.deep.equal(['a'])
  })

  it('cancels what a caller has open when its port closes, and tells it nothing more', () => {
    const { turns, replica, atReplica, openCaller } = setUp()
    const { port, got } = openCaller()
    port.post([1, 10, 0, 'open'])
    turns.run()
    port.close()
    turns.run()
    const id = atReplica[0]?.[0]
    expect(atReplica[1]).to.deep.equal([CANCEL, id])
    replica.post([0, id, AnswerKind.VALUE, 'too late'])
    turns.run()
    expect(got).to.deep.equal([])
  })

  it('answers with ERR_NOT_SERIALIZABLE what the channel to the other tab cannot copy', () => {
    const { turns, replica, atReplica, openCaller } = setUp()
    const posted: Frame[] = []
    let fromTab: (message: Frame) => void = () => {}
    const channel: CallPort = {
      post(message) {
        if (message[2] === AnswerKind.VALUE) throw new DOMException('cannot', 'DataCloneError')
        posted.push(message)
      },
      listen(listener) {
        fromTab = listener
      },
      close() {},
    }
    bridge(openCaller().port, channel)
    fromTab([3, 10, 0, 'call'])
    turns.run()
    replica.post([0, atReplica[0]?.[0], AnswerKind.VALUE, 'uncopyable'])
    turns.run()
    expect(posted[0]?.slice(0, 3)).to.deep.equal([0, 3, AnswerKind.ERROR])
    expect(posted[0]?.[3]).to.include({ code: 'ERR_NOT_SERIALIZABLE' })
  })
})
