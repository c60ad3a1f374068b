import { expect } from 'chai'
import { isServeError } from '../../../core/base/index.ts'
import {
  judgeCanary,
  type RolloutOptions,
  type RolloutResult,
  resolveRollout,
  runRollout,
  type StepObservation,
  weightsWithCanary,
} from '../../../core/controller/rollout.ts'
import { policyOf, resolveTraffic, type TrafficPolicy, withTraffic } from '../../../core/model/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const GUARD = { errorRate: 0.01, p99Ratio: 1.5, minRequests: 50 }
const seen = (requests: number, failed = 0, p99Ms = 10): StepObservation => ({ requests, failed, p99Ms })
const policyWith = (weights: Record<string, number>): TrafficPolicy =>
  withTraffic(policyOf(''), resolveTraffic('x', weights, new Set(Object.keys(weights))))

/** A roll-out from `stable` to `canary` whose canary behaves as told, step by step. */
function rolloutOf(steps: readonly { canary: StepObservation; rest: StepObservation }[], options: RolloutOptions = {}) {
  const clock = new FakeClock()
  const weights: Record<string, number>[] = []
  let step = -1
  const ended = runRollout(policyOf('stable'), 'canary', resolveRollout({ intervalMs: 1_000, ...options }), {
    setTraffic: async (given) => void weights.push({ ...given }),
    observe: () => {
      step++
      return () => steps[step] ?? { canary: seen(0), rest: seen(0) }
    },
    clock,
  })
  let result: RolloutResult | undefined
  void ended.then((value) => {
    result = value
  })
  return { clock, weights, result: () => result }
}

describe('a roll-out', () => {
  it('takes the canary to all of the traffic when every step goes well', async () => {
    const well = { canary: seen(100), rest: seen(100) }
    const { clock, weights, result } = rolloutOf([well, well, well])
    await clock.advance(3_000)
    expect(weights).to.deep.equal([
      { stable: 0.95, canary: 0.05 },
      { stable: 0.75, canary: 0.25 },
      { stable: 0, canary: 1 },
    ])
    expect(result()).to.deep.equal({ state: 'completed', share: 1 })
  })

  it('puts the old weights back in the step that breaks the guard, and says what was seen', async () => {
    const { clock, weights, result } = rolloutOf([
      { canary: seen(100), rest: seen(100) },
      { canary: seen(100, 5), rest: seen(100) },
    ])
    await clock.advance(10_000)
    expect(weights.at(-1)).to.deep.equal({ stable: 1 })
    expect(result()).to.include({ state: 'rolled-back', share: 0.25 })
    expect(result()?.reason).to.include('5 of 100')
  })

  it('judges nothing before the canary has answered minRequests', async () => {
    const few = { canary: seen(10), rest: seen(1_000) }
    const { clock, weights } = rolloutOf([few])
    await clock.advance(60_000)
    expect(weights).to.have.length(1)
  })
})

describe('judgeCanary', () => {
  it('lets a canary go on whose failures are within the rate', () => {
    expect(judgeCanary(seen(100, 1), seen(100), GUARD)).to.equal(undefined)
  })

  it('sends one back that is slower than the rest by more than the ratio', () => {
    expect(judgeCanary(seen(100, 0, 16), seen(100, 0, 10), GUARD)).to.include('p99')
    expect(judgeCanary(seen(100, 0, 15), seen(100, 0, 10), GUARD)).to.equal(undefined)
  })

  it('does not compare with a rest that answered nothing', () => {
    expect(judgeCanary(seen(100, 0, 1_000), seen(0, 0, 0), GUARD)).to.equal(undefined)
  })
})

describe('weightsWithCanary', () => {
  it('keeps the proportions of the others to each other', () => {
    expect(weightsWithCanary(policyWith({ a: 0.6, b: 0.4 }), 'c', 0.5)).to.deep.equal({ a: 0.3, b: 0.2, c: 0.5 })
  })

  it('starts from the share that the canary has already', () => {
    expect(weightsWithCanary(policyWith({ a: 0.9, c: 0.1 }), 'c', 0.25)).to.deep.equal({ a: 0.75, c: 0.25 })
  })
})

describe('resolveRollout', () => {
  const bad: [string, RolloutOptions][] = [
    ['steps that do not rise', { steps: [0.5, 0.2] }],
    ['a step above 1', { steps: [0.5, 1.2] }],
    ['no steps', { steps: [] }],
    ['an interval of 0', { intervalMs: 0 }],
    ['an error rate above 1', { guard: { errorRate: 2 } }],
    ['an unknown key', { guard: { errorate: 0.1 } as object }],
  ]
  for (const [what, options] of bad) {
    it(`refuses ${what}`, () => {
      expect(() => resolveRollout(options)).to.satisfy((work: () => unknown) => {
        try {
          work()
          return false
        } catch (error) {
          return isServeError(error, 'ERR_INVALID_CONFIG')
        }
      })
    })
  }
})
