import { expect } from 'chai'
import { isServeError, type ServeError } from '../../../core/base/index.ts'
import { resolveAutoscaling } from '../../../core/model/autoscaling-config.ts'
import {
  BACKEND_DEFAULTS,
  concurrencyOf,
  downscaleToZeroDelayMsOf,
  type ResolvedAutoscaling,
  resolveBackendConfig,
  sameData,
  toPublicConfig,
} from '../../../core/model/index.ts'

function failure(act: () => unknown): ServeError {
  try {
    act()
  } catch (error) {
    if (isServeError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function autoscalingOf(given: object): ResolvedAutoscaling {
  return resolveAutoscaling({ maxReplicas: 8, ...given })
}

describe('backend config', () => {
  it('has the documented defaults when nothing is given', () => {
    expect(toPublicConfig(resolveBackendConfig(undefined))).to.deep.equal({
      numReplicas: 1,
      batchWaitTimeoutMs: 0,
      maxConcurrentQueries: 100,
      maxQueuedRequests: 1_000,
      maxQueuedBytes: 67_108_864,
      requestTimeoutMs: 30_000,
      streamIdleTimeoutMs: 30_000,
      idempotent: false,
      healthCheckPeriodMs: 10_000,
      healthCheckTimeoutMs: 5_000,
      gracefulShutdownTimeoutMs: 20_000,
      startTimeoutMs: 60_000,
    })
  })

  it('takes undefined as not given', () => {
    expect(resolveBackendConfig({ numReplicas: undefined, maxBatchSize: undefined })).to.deep.equal(BACKEND_DEFAULTS)
  })

  it('reads its own result again without a change', () => {
    const config = resolveBackendConfig({ maxBatchSize: 4, userConfig: { a: [1] }, autoscaling: { maxReplicas: 3 } })
    expect(resolveBackendConfig(config)).to.deep.equal(config)
    expect(resolveBackendConfig(JSON.parse(JSON.stringify(config)))).to.deep.equal(config)
  })

  it('refuses an unknown key and names the nearest', () => {
    const error = failure(() => resolveBackendConfig({ numReplica: 2 }))
    expect(error.code).to.equal('ERR_INVALID_CONFIG')
    expect(error.details).to.deep.equal({ field: 'numReplica', nearest: 'numReplicas' })
    expect(error.message).to.contain('numReplicas')
  })

  it('refuses a key __proto__ that came out of JSON', () => {
    expect(failure(() => resolveBackendConfig(JSON.parse('{"__proto__":{"numReplicas":2}}'))).code).to.equal('ERR_INVALID_CONFIG')
  })

  for (const name of ['toString', 'constructor', 'hasOwnProperty']) {
    it(`refuses ${name}, which every object inherits, as an unknown key`, () => {
      expect(failure(() => resolveBackendConfig({ [name]: 1 })).code).to.equal('ERR_INVALID_CONFIG')
    })
  }

  for (const [name, given] of [
    ['null', null],
    ['a string', 'numReplicas=2'],
    ['an array', [{ numReplicas: 2 }]],
    ['a Map', new Map([['numReplicas', 2]])],
    ['an object with a prototype of its own', Object.create({ numReplicas: 2 })],
    ['an object whose prototype has none', Object.create(Object.create(null))],
    ['an object that sets its prototype', { __proto__: { numReplicas: 2 } }],
    ['an instance of a class', new (class Config {})()],
  ] as const) {
    it(`refuses ${name} with ERR_INVALID_ARG_TYPE`, () => {
      expect(failure(() => resolveBackendConfig(given)).code).to.equal('ERR_INVALID_ARG_TYPE')
    })
  }

  it('takes an object without a prototype', () => {
    expect(resolveBackendConfig(Object.assign(Object.create(null), { numReplicas: 2 })).numReplicas).to.equal(2)
  })

  const refused: Readonly<Record<string, readonly unknown[]>> = {
    numReplicas: [0, -1, 1.5, '2', Number.NaN, Number.POSITIVE_INFINITY, null, 2 ** 53, 2n],
    maxBatchSize: [0, -1, 1.5, '8', true],
    batchWaitTimeoutMs: [-1, Number.NaN, Number.POSITIVE_INFINITY, '5', null, 2 ** 31],
    maxConcurrentQueries: [0, -5, 2.5, 'many'],
    maxQueuedRequests: [-1, 1.5, Number.POSITIVE_INFINITY],
    maxQueuedBytes: [-1, 0.5, '64MiB'],
    requestTimeoutMs: [0, -1, Number.POSITIVE_INFINITY, null],
    streamIdleTimeoutMs: [0, -1],
    idempotent: ['yes', 1, null],
    autoscaling: [true, [], 'on'],
    healthCheckPeriodMs: [0],
    healthCheckTimeoutMs: [0],
    gracefulShutdownTimeoutMs: [-1, '20s'],
    startTimeoutMs: [0],
  }
  for (const [field, values] of Object.entries(refused)) {
    it(`refuses ${field} of a wrong type or out of its range, naming field and range`, () => {
      for (const value of values) {
        const error = failure(() => resolveBackendConfig({ [field]: value }))
        expect(error.code).to.equal('ERR_INVALID_CONFIG')
        expect(error.details).to.include({ field })
        expect(error.details).to.have.property('expected').that.is.a('string')
        expect(error.message).to.contain(field)
      }
    })
  }

  it('is a TypeError as well when it refuses', () => {
    expect(failure(() => resolveBackendConfig({ numReplicas: 0 }))).to.be.instanceOf(TypeError)
  })

  it('is frozen to the bottom', () => {
    const config = resolveBackendConfig({ userConfig: { list: [{ a: 1 }] }, autoscaling: { maxReplicas: 2 } })
    const { list } = config.userConfig as { list: object[] }
    for (const part of [config, config.userConfig, list, list[0], config.autoscaling, toPublicConfig(config)]) {
      expect(Object.isFrozen(part)).to.equal(true)
    }
  })

  describe('concurrency', () => {
    it('is 2 x maxBatchSize when only that is given', () => {
      expect(concurrencyOf(resolveBackendConfig({ maxBatchSize: 8 }))).to.equal(16)
    })

    it('follows a changed maxBatchSize while it is not given', () => {
      const base = resolveBackendConfig({ maxBatchSize: 8 })
      expect(concurrencyOf(resolveBackendConfig({ maxBatchSize: 32 }, base))).to.equal(64)
    })

    it('stays as given when maxBatchSize changes', () => {
      const base = resolveBackendConfig({ maxBatchSize: 8, maxConcurrentQueries: 10 })
      expect(concurrencyOf(resolveBackendConfig({ maxBatchSize: 32 }, base))).to.equal(10)
    })

    it('goes back to its default by null', () => {
      const base = resolveBackendConfig({ maxConcurrentQueries: 10 })
      expect(concurrencyOf(resolveBackendConfig({ maxConcurrentQueries: null }, base))).to.equal(100)
    })
  })

  describe('update', () => {
    it('replaces only the keys given', () => {
      const base = resolveBackendConfig({ numReplicas: 3, maxBatchSize: 4, requestTimeoutMs: 500, idempotent: true })
      expect(resolveBackendConfig({ numReplicas: 5 }, base)).to.deep.equal({ ...base, numReplicas: 5 })
    })

    it('takes maxBatchSize and autoscaling away by null', () => {
      const base = resolveBackendConfig({ maxBatchSize: 4, autoscaling: { maxReplicas: 4 } })
      const config = resolveBackendConfig({ maxBatchSize: null, autoscaling: null }, base)
      expect([config.maxBatchSize, config.autoscaling]).to.deep.equal([undefined, undefined])
    })

    it('is validated like a first config', () => {
      expect(failure(() => resolveBackendConfig({ numReplicas: -1 }, BACKEND_DEFAULTS)).code).to.equal('ERR_INVALID_CONFIG')
    })

    it('leaves its base as it was', () => {
      const base = resolveBackendConfig({ numReplicas: 3 })
      resolveBackendConfig({ numReplicas: 5 }, base)
      expect(base.numReplicas).to.equal(3)
    })
  })

  describe('userConfig', () => {
    it('is a copy that later changes of the original do not reach', () => {
      const userConfig = { threshold: 1 }
      const config = resolveBackendConfig({ userConfig })
      userConfig.threshold = 2
      expect(config.userConfig).to.deep.equal({ threshold: 1 })
    })

    it('takes null, 0 and cycles as values', () => {
      const cyclic: { self?: object } = {}
      cyclic.self = cyclic
      const copy = resolveBackendConfig({ userConfig: cyclic }).userConfig as { self: object }
      expect(copy.self).to.equal(copy)
      expect(resolveBackendConfig({ userConfig: null }).userConfig).to.equal(null)
      expect(resolveBackendConfig({ userConfig: 0 }).userConfig).to.equal(0)
    })

    it('takes typed arrays and Maps, which cannot be frozen', () => {
      const config = resolveBackendConfig({ userConfig: { weights: new Float32Array([1, 2]), names: new Map([[1, 'a']]) } })
      expect(config.userConfig).to.deep.equal({ weights: new Float32Array([1, 2]), names: new Map([[1, 'a']]) })
    })

    it('refuses what cannot be cloned with ERR_NOT_SERIALIZABLE and its path', () => {
      const error = failure(() => resolveBackendConfig({ userConfig: { models: [{ run: () => 1 }] } }))
      expect(error.code).to.equal('ERR_NOT_SERIALIZABLE')
      expect(error.details).to.deep.equal({ path: 'userConfig.models[0].run' })
    })

    it('keeps the very object when an update gives the same data', () => {
      const base = resolveBackendConfig({ userConfig: { a: [1, new Date(5)], b: new Map([['k', new Uint8Array([1])]]) } })
      const same = resolveBackendConfig({ userConfig: { b: new Map([['k', new Uint8Array([1])]]), a: [1, new Date(5)] } }, base, sameData)
      expect(same.userConfig).to.equal(base.userConfig)
    })

    it('is another object when an update gives other data', () => {
      const base = resolveBackendConfig({ userConfig: { a: new Uint8Array([1]) } })
      const other = resolveBackendConfig({ userConfig: { a: new Uint8Array([2]) } }, base, sameData)
      expect(other.userConfig).not.to.equal(base.userConfig)
    })
  })

  describe('autoscaling', () => {
    it('has the documented defaults', () => {
      expect(autoscalingOf({})).to.deep.equal({
        minReplicas: 1,
        maxReplicas: 8,
        targetOngoingRequests: 2,
        upscaleDelayMs: 3_000,
        downscaleDelayMs: 60_000,
        downscaleToZeroDelayMs: undefined,
        lookBackMs: 30_000,
        upscalingFactor: 1,
        downscalingFactor: 1,
        panicThreshold: 2,
        panicWindowMs: 6_000,
      })
    })

    it('waits as long for the step to zero as for any step down unless told', () => {
      expect(downscaleToZeroDelayMsOf(autoscalingOf({ downscaleDelayMs: 7 }))).to.equal(7)
      expect(downscaleToZeroDelayMsOf(autoscalingOf({ downscaleDelayMs: 7, downscaleToZeroDelayMs: 9 }))).to.equal(9)
    })

    it('names an unknown key with its path', () => {
      const error = failure(() => autoscalingOf({ minReplica: 1 }))
      expect(error.code).to.equal('ERR_INVALID_CONFIG')
      expect(error.details).to.deep.equal({ field: 'autoscaling.minReplica', nearest: 'autoscaling.minReplicas' })
    })

    const refusedFields: Readonly<Record<string, readonly unknown[]>> = {
      minReplicas: [-1, 1.5, '1'],
      maxReplicas: [0, Number.POSITIVE_INFINITY],
      targetOngoingRequests: [0, -1, Number.NaN],
      upscaleDelayMs: [-1, '3s'],
      downscaleDelayMs: [-1],
      downscaleToZeroDelayMs: [-1],
      lookBackMs: [0],
      upscalingFactor: [0],
      downscalingFactor: [0],
      panicThreshold: [0],
      panicWindowMs: [0],
    }
    for (const [field, values] of Object.entries(refusedFields)) {
      it(`refuses ${field} out of its range`, () => {
        for (const value of values) {
          const error = failure(() => autoscalingOf({ [field]: value }))
          expect(error.code).to.equal('ERR_INVALID_CONFIG')
          expect(error.details).to.include({ field: `autoscaling.${field}` })
        }
      })
    }

    it('needs maxReplicas', () => {
      expect(failure(() => resolveBackendConfig({ autoscaling: { minReplicas: 1 } })).code).to.equal('ERR_INVALID_CONFIG')
    })

    it('refuses minReplicas above maxReplicas', () => {
      expect(failure(() => autoscalingOf({ minReplicas: 9 })).code).to.equal('ERR_INVALID_CONFIG')
    })

    it('refuses an initial count outside its bounds', () => {
      const error = failure(() => resolveBackendConfig({ numReplicas: 9, autoscaling: { maxReplicas: 8 } }))
      expect(error.code).to.equal('ERR_INVALID_CONFIG')
      expect(error.details).to.include({ field: 'numReplicas', value: 9 })
    })

    it('begins with minReplicas when that is above the default count', () => {
      expect(resolveBackendConfig({ autoscaling: { minReplicas: 3, maxReplicas: 8 } }).numReplicas).to.equal(3)
    })

    it('keeps the other fields when an update gives one', () => {
      const base = resolveBackendConfig({ autoscaling: { maxReplicas: 8, lookBackMs: 100 } })
      const config = resolveBackendConfig({ autoscaling: { maxReplicas: 9 } }, base)
      expect(config.autoscaling).to.deep.equal({ ...base.autoscaling, maxReplicas: 9 })
    })
  })
})
