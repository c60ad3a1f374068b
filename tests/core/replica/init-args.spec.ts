import { expect } from 'chai'
import { Asset, decodeInitArgs, encodeInitArgs, type LivingArgument } from '../../../core/replica/index.ts'
import { ServeHandle } from '../../../core/router/index.ts'

const handle = new ServeHandle('e', { dispatch: () => {} }).options({ methodName: 'm', signal: new AbortController().signal })
const asset = new Asset('file:///model.bin', async () => new Uint8Array([1]))
const revive = ({ mark, data }: LivingArgument): unknown => `${mark} ${JSON.stringify(data)}`
const travel = (...initArgs: unknown[]): unknown[] => decodeInitArgs(structuredClone([...encodeInitArgs('b', initArgs)]), revive)

const codeOf = (...initArgs: unknown[]): unknown => {
  try {
    encodeInitArgs('b', initArgs)
    return 'taken'
  } catch (error) {
    const { code, details } = error as { code: string; details?: { path: string } }
    return [code, details?.path]
  }
}

describe('initArgs', () => {
  it('bring handles and assets as marks that are made alive again, however deep', () => {
    expect(travel(handle, { models: [asset] })).to.deep.equal([
      'handle {"endpoint":"e","options":{"methodName":"m"}}',
      { models: ['asset "file:///model.bin"'] },
    ])
  })

  it('keep all that structured clone carries', () => {
    const values = [new Map([[1, 2]]), new Date(5), 12n, new Uint8Array([1]), null, undefined, 'x']
    expect(travel(...values)).to.deep.equal(values)
  })

  it('name the place of what cannot travel', () => {
    expect(codeOf(1, { model: { load: () => {} } })).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'backend b: initArgs[1].model.load'])
  })

  it('name the place of a handle that is not in plain objects and arrays', () => {
    expect(codeOf({ byName: new Map([['e', handle]]) })).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'backend b: initArgs[0].byName.e'])
  })

  it('refuse a client with a code of its own', () => {
    const client = Object.assign(Object.create({ [Symbol.for('shoal.Client')]: true }), { shutdown: () => {} })
    expect((codeOf(client) as unknown[])[0]).to.equal('ERR_CLIENT_NOT_SERIALIZABLE')
  })

  it('keep cycles, and what two places share', () => {
    const shared = { asset }
    const given: { self?: unknown; a: unknown; b: unknown } = { a: shared, b: shared }
    given.self = given
    const [kept] = travel(given) as [typeof given]
    expect(kept.self).to.equal(kept)
    expect(kept.a).to.equal(kept.b)
  })

  it('leave what the caller gave as it was', () => {
    const given = { handle }
    encodeInitArgs('b', [given])
    expect(given.handle).to.equal(handle)
  })
})
