import { expect } from 'chai'
import fc from 'fast-check'
import { SILENT } from '../../../core/base/index.ts'
import { MemoryStateStore } from '../../../core/controller/index.ts'
import { ControllerGroup, GROUP_PORT, isGroupMessage, type MeshRole, seatController, serveGroupPort } from '../../../core/mesh/index.ts'
import { LinkPair } from '../../support/link-pair.ts'

const ROLES: readonly MeshRole[] = ['controller']

/** Two controllers over a real link and its codec: `a` has founded the mesh. */
async function controllers() {
  const pair = await LinkPair.make({ delayMs: [1, 5] })
  const start = async (id: string): Promise<ControllerGroup> => {
    const init = { controllerId: id, store: new MemoryStateStore(), isFounder: id === 'a', onEvent() {} }
    const group = new ControllerGroup(init, pair.clock, () => 0.5, SILENT)
    await group.open()
    return group
  }
  const [a, b] = [await start('a'), await start('b')]
  const port = pair.a.openPort(GROUP_PORT)
  seatController(port, { peerId: 'b', roles: ROLES }, a)
  await pair.run(10)
  const [accepted] = pair.atB
  if (accepted === undefined) throw new Error('no port')
  serveGroupPort(accepted, { peerId: 'a', roles: ROLES }, b)
  await pair.run(10)
  return { pair, a, b, port, accepted }
}

describe('controllers over a link', () => {
  it('have an edit on both sides when it is acknowledged, whatever its value', async () => {
    const { pair, a, b } = await controllers()
    const value = { list: [1, 'two', null], bytes: Uint8Array.of(1, 2), map: new Map([['k', 1]]) }
    const edit = a.edit([{ key: 'k', value }, { key: 'gone' }])
    await pair.run(20)
    await edit
    expect(b.map.get('k')?.value).to.deep.equal(value)
    expect([...b.map.values.keys()]).to.deep.equal(['k'])
    expect(b.map.root).to.equal(a.map.root)
  })

  it('hand over when the link breaks', async () => {
    const { pair, b } = await controllers()
    pair.network.cut('a', 'b')
    for (let i = 0; i < 8; i++) await pair.run(1_000)
    expect(b.leader).to.deep.equal({ term: 2, controllerId: 'b' })
  })

  it('take no port from a peer without the role: ERR_FORBIDDEN', async () => {
    const { accepted, b } = await controllers()
    expect(() => serveGroupPort(accepted, { peerId: 'x', roles: ['replica', 'caller'] }, b))
      .to.throw()
      .with.property('code', 'ERR_FORBIDDEN')
  })

  it('say ERR_UNSUPPORTED where there is no group, and leave other ports alone', async () => {
    const { pair, accepted } = await controllers()
    expect(() => serveGroupPort(accepted, { peerId: 'a', roles: ROLES }, undefined))
      .to.throw()
      .with.property('code', 'ERR_UNSUPPORTED')
    expect(serveGroupPort(pair.a.openPort('other'), { peerId: 'a', roles: ROLES }, undefined)).to.equal(false)
  })

  it('end the seat of one who says what is no message', async () => {
    const { pair, a, port, accepted } = await controllers()
    accepted.post([{ kind: 'entries', entries: [{ key: 'k', version: { term: -1, controllerId: 'b', sequence: 1 }, seen: {} }] }])
    await pair.run(20)
    expect(port.isClosed).to.equal(true)
    const edit = a.edit([{ key: 'k', value: 1 }])
    await pair.run(10)
    expect((await edit)?.sequence).to.equal(1)
  })

  it('take anything for a message or not, and never throw', () => {
    fc.assert(
      fc.property(fc.anything(), fc.constantFrom('beat', 'delta', 'digests', 'entries', 'conflict'), (rest, kind) => {
        const value = typeof rest === 'object' && rest !== null ? { ...rest, kind } : rest
        expect(isGroupMessage(value)).to.equal(false)
      }),
    )
  })
})
