import { expect } from 'chai'
import { AnswerOutbox, createPortPair } from '../../../core/replica/index.ts'
import { AnswerKind } from '../../../core/request/index.ts'
import { ManualTurns } from '../../support/manual-turns.ts'

function setup() {
  const turns = new ManualTurns()
  const [outer, inner] = createPortPair(turns)
  const messages: (readonly unknown[])[] = []
  outer.listen((message) => messages.push(message))
  return { turns, messages, outbox: new AnswerOutbox(inner, turns) }
}

const { VALUE } = AnswerKind

describe('AnswerOutbox', () => {
  it('sends the primitives of a turn in one message, behind the running mean', () => {
    const { turns, messages, outbox } = setup()
    outbox.serviceUs = 7
    outbox.add(1, VALUE, 'a')
    outbox.add(2, VALUE, 5)
    turns.run()
    expect(messages).to.deep.equal([[7, 1, VALUE, 'a', 2, VALUE, 5]])
  })

  it('keeps the order of all that it is given', () => {
    const { turns, messages, outbox } = setup()
    outbox.add(1, VALUE, 'a')
    outbox.add(1, VALUE, { b: 1 })
    outbox.add(1, VALUE, 'c')
    turns.run()
    expect(messages.map((message) => message[3])).to.deep.equal(['a', { b: 1 }, 'c'])
  })

  it('gives every object a message of its own', () => {
    const { turns, messages, outbox } = setup()
    const shared = {}
    outbox.add(1, VALUE, shared)
    outbox.add(2, VALUE, shared)
    turns.run()
    expect(messages).to.have.lengthOf(2)
    expect(messages[0]![3]).not.to.equal(messages[1]![3])
  })

  it('sends what it has when asked, and nothing twice', () => {
    const { turns, messages, outbox } = setup()
    outbox.add(1, VALUE, 'a')
    outbox.flush()
    outbox.flush()
    turns.run()
    expect(messages).to.have.lengthOf(1)
  })

  it('does not wait with text beyond 64 Ki characters', () => {
    const { turns, messages, outbox } = setup()
    outbox.add(1, VALUE, 'x'.repeat(70_000))
    outbox.add(2, VALUE, 'y')
    turns.run()
    expect(messages).to.have.lengthOf(2)
  })

  it('moves whole buffers and says so by emptying them', () => {
    const { turns, messages, outbox } = setup()
    const bytes = new Uint8Array([1, 2])
    outbox.add(1, VALUE, { bytes })
    turns.run()
    expect(bytes.byteLength).to.equal(0)
    expect((messages[0]![3] as { bytes: Uint8Array }).bytes.join()).to.equal('1,2')
  })

  it('copies memory that refuses to be moved', () => {
    const { turns, messages, outbox } = setup()
    const memory = new WebAssembly.Memory({ initial: 1 })
    expect(outbox.add(1, VALUE, new Uint8Array(memory.buffer))).to.equal(true)
    turns.run()
    expect((messages[0]![3] as Uint8Array).byteLength).to.equal(65_536)
    expect(memory.buffer.byteLength).to.equal(65_536)
  })

  it('tells a call whose value cannot travel, and says that it did', () => {
    const { turns, messages, outbox } = setup()
    expect(outbox.add(1, VALUE, { f: () => {} })).to.equal(false)
    expect(outbox.add(2, VALUE, 'fine')).to.equal(true)
    turns.run()
    expect(messages[0]![3]).to.include({ code: 'ERR_NOT_SERIALIZABLE', outcome: 'completed' })
    expect(messages[1]![3]).to.equal('fine')
  })

  it('tells a call whose value is nested too deep', () => {
    const { turns, messages, outbox } = setup()
    let deep: unknown[] = []
    for (let i = 0; i < 200_000; i++) deep = [deep]
    expect(outbox.add(1, VALUE, deep)).to.equal(false)
    turns.run()
    expect(messages[0]![3]).to.include({ code: 'ERR_NOT_SERIALIZABLE' })
  })
})
