import { expect } from 'chai'
import { isServeError, type ServeError } from '../../../core/base/index.ts'
import { ISOLATIONS, resolveReplicaOptions, resolveResources } from '../../../core/model/index.ts'

function failure(given: unknown, supported: readonly string[] = ISOLATIONS): ServeError {
  try {
    resolveReplicaOptions(given, supported)
  } catch (error) {
    if (isServeError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('replica options', () => {
  it('have the documented defaults', () => {
    expect(resolveReplicaOptions(undefined, ISOLATIONS)).to.deep.equal({
      isolation: 'thread',
      resources: { cpu: 0, gpu: 0, memoryBytes: 0, custom: {} },
      placement: { runtime: 'any', labels: {}, untrusted: false },
      memoryLimitBytes: undefined,
      env: {},
      shared: false,
    })
  })

  it('keep what is given', () => {
    const given = {
      isolation: 'process',
      resources: { cpu: 0.5, gpu: 1, memoryBytes: 1024, custom: { licence: 2 } },
      placement: { runtime: 'node', labels: { zone: 'a' }, untrusted: true },
      memoryLimitBytes: 1_000_000,
      env: { MODEL: 'small' },
      shared: true,
    } as const
    expect(resolveReplicaOptions(given, ISOLATIONS)).to.deep.equal(given)
  })

  it('read their own result again without a change', () => {
    const options = resolveReplicaOptions({ env: { A: '1' } }, ISOLATIONS)
    expect(resolveReplicaOptions(options, ISOLATIONS)).to.deep.equal(options)
  })

  it('are frozen to the bottom', () => {
    const options = resolveReplicaOptions({ resources: { custom: { a: 1 } } }, ISOLATIONS)
    const { resources, placement } = options
    for (const part of [options, resources, resources.custom, placement, placement.labels, options.env]) {
      expect(Object.isFrozen(part)).to.equal(true)
    }
  })

  it('refuse an isolation that is not to be had here and name those there are', () => {
    const error = failure({ isolation: 'process' }, ['thread', 'inline'])
    expect(error.code).to.equal('ERR_UNSUPPORTED')
    expect(error.details).to.deep.equal({ isolation: 'process', supported: ['thread', 'inline'] })
  })

  it('fall back to the preferred isolation where there are no threads', () => {
    expect(resolveReplicaOptions({}, ['inline']).isolation).to.equal('inline')
  })

  it('refuse a word that is no isolation anywhere', () => {
    expect(failure({ isolation: 'threads' }).code).to.equal('ERR_INVALID_CONFIG')
  })

  for (const [name, given] of [
    ['null', null],
    ['a string', 'thread'],
    ['an array', []],
  ] as const) {
    it(`refuse ${name} with ERR_INVALID_ARG_TYPE`, () => {
      expect(failure(given).code).to.equal('ERR_INVALID_ARG_TYPE')
    })
  }

  const refused: readonly (readonly [string, unknown])[] = [
    ['isolatoin', { isolatoin: 'thread' }],
    ['resources', { resources: 4 }],
    ['resources.cpus', { resources: { cpus: 1 } }],
    ['resources.cpu', { resources: { cpu: -1 } }],
    ['resources.gpu', { resources: { gpu: '1' } }],
    ['resources.memoryBytes', { resources: { memoryBytes: Number.NaN } }],
    ['resources.custom.tpu', { resources: { custom: { tpu: -1 } } }],
    ['resources.custom', { resources: { custom: JSON.parse('{"__proto__":1}') } }],
    ['placement.runtime', { placement: { runtime: 'deno' } }],
    ['placement.label', { placement: { label: {} } }],
    ['placement.labels.zone', { placement: { labels: { zone: 1 } } }],
    ['placement.untrusted', { placement: { untrusted: 'no' } }],
    ['memoryLimitBytes', { memoryLimitBytes: 0 }],
    ['env.A', { env: { A: 1 } }],
    ['env.B', { env: { B: 'x\0y' } }],
    ['env', { env: { 'A=B': '1' } }],
    ['shared', { shared: 1 }],
  ]
  for (const [field, given] of refused) {
    it(`refuse a wrong ${field} and name it by its path`, () => {
      const error = failure(given)
      expect(error.code).to.equal('ERR_INVALID_CONFIG')
      expect(error.details).to.include({ field })
    })
  }

  it('give the amounts that a node offers the same form', () => {
    expect(resolveResources({ cpu: 8 })).to.deep.equal({ cpu: 8, gpu: 0, memoryBytes: 0, custom: {} })
  })
})
