import { expect } from 'chai'
import { portabilityOf } from '../../../core/controller/portability.ts'
import { Asset, encodeInitArgs } from '../../../core/replica/index.ts'

const source = { kind: 'source', portable: {} } as const
const withAsset = (url: string): readonly unknown[] => encodeInitArgs('b', [1, { deep: [new Asset(url, async () => new Uint8Array())] }])

describe('portabilityOf', () => {
  it('keeps inline code and worker factories in their process', () => {
    expect(portabilityOf({ kind: 'inline', value: () => 1 }, [])).to.equal('process')
    expect(portabilityOf({ kind: 'worker', factory: () => 1 }, [])).to.equal('process')
  })

  it('lets source and modules of the network travel anywhere', () => {
    expect(portabilityOf(source, withAsset('https://models.test/m.onnx'))).to.equal('anywhere')
    expect(portabilityOf({ kind: 'module', url: 'https://code.test/m.js', exportName: 'default' }, [])).to.equal('anywhere')
  })

  it('keeps files on their machine, as code and as assets', () => {
    expect(portabilityOf({ kind: 'module', url: 'file:///m.js', exportName: 'default' }, [])).to.equal('machine')
    expect(portabilityOf(source, withAsset('file:///m.onnx'))).to.equal('machine')
  })
})
