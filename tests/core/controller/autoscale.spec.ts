import { expect } from 'chai'
import fc from 'fast-check'
import { autoscale, CALM, type LoadView } from '../../../core/controller/autoscale.ts'
import { type ResolvedAutoscaling, resolveBackendConfig } from '../../../core/model/index.ts'

const configOf = (given: object): ResolvedAutoscaling =>
  resolveBackendConfig({ autoscaling: { maxReplicas: 10, ...given } }).autoscaling as ResolvedAutoscaling

const viewOf = (given: Partial<LoadView>): LoadView => {
  const view = { nowMs: 0, wanted: 1, ready: given.wanted ?? 1, load: 0, meanLoad: 0, panicLoad: 0, ...given }
  return view
}

/** Looks every 100 ms at a constant view until the count changes; gives when, and to what. */
function firstChange(
  view: Partial<LoadView>,
  config: ResolvedAutoscaling,
  untilMs = 200_000,
): { atMs: number; wanted: number } | undefined {
  let memory = CALM
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 100) {
    const decided = autoscale(viewOf({ ...view, nowMs }), memory, config)
    memory = decided.memory
    if (decided.wanted !== (view.wanted ?? 1)) return { atMs: nowMs, wanted: decided.wanted }
  }
  return undefined
}

describe('autoscale', () => {
  it('adds replicas once the need has lasted for upscaleDelayMs', () => {
    expect(firstChange({ wanted: 2, meanLoad: 7, load: 7 }, configOf({ upscaleDelayMs: 3_000 }))).to.deep.equal({ atMs: 3_000, wanted: 4 })
  })

  it('takes replicas away once the need has been lower for downscaleDelayMs', () => {
    expect(firstChange({ wanted: 5, meanLoad: 3 }, configOf({ downscaleDelayMs: 60_000 }))).to.deep.equal({ atMs: 60_000, wanted: 2 })
  })

  it('starts over when the need stops for a moment', () => {
    const config = configOf({ upscaleDelayMs: 1_000 })
    let memory = CALM
    const look = (nowMs: number, meanLoad: number): number => {
      const decided = autoscale(viewOf({ nowMs, meanLoad }), memory, config)
      memory = decided.memory
      return decided.wanted
    }
    look(0, 4)
    look(900, 2)
    expect([look(1_000, 4), look(1_900, 4), look(2_000, 4)]).to.deep.equal([1, 1, 2])
  })

  it('wakes a sleeping backend at once when a call waits', () => {
    expect(autoscale(viewOf({ wanted: 0, load: 1 }), CALM, configOf({ minReplicas: 0 })).wanted).to.equal(1)
  })

  it('lets a sleeping backend sleep while nothing waits', () => {
    expect(firstChange({ wanted: 0 }, configOf({ minReplicas: 0 }))).to.equal(undefined)
  })

  it('goes from several to one before it goes to none, which has a delay of its own', () => {
    const config = configOf({ minReplicas: 0, downscaleDelayMs: 1_000, downscaleToZeroDelayMs: 5_000 })
    expect(firstChange({ wanted: 3 }, config)).to.deep.equal({ atMs: 1_000, wanted: 1 })
    expect(firstChange({ wanted: 1 }, config)).to.deep.equal({ atMs: 5_000, wanted: 0 })
  })

  it('scales up without delay in panic', () => {
    expect(firstChange({ wanted: 2, panicLoad: 8, load: 8 }, configOf({ panicThreshold: 2 }))).to.deep.equal({ atMs: 0, wanted: 4 })
  })

  it('does not scale down until a look-back window after the last panic', () => {
    const config = configOf({ lookBackMs: 30_000, downscaleDelayMs: 1_000 })
    const panicked = autoscale(viewOf({ nowMs: 0, wanted: 2, panicLoad: 20 }), CALM, config)
    const soon = autoscale(viewOf({ nowMs: 20_000, wanted: 10 }), panicked.memory, config)
    const first = autoscale(viewOf({ nowMs: 30_000, wanted: 10 }), soon.memory, config)
    const later = autoscale(viewOf({ nowMs: 31_000, wanted: 10 }), first.memory, config)
    expect([panicked.wanted, soon.wanted, first.wanted, later.wanted]).to.deep.equal([10, 10, 10, 1])
  })

  it('does not answer a slow start with more replicas', () => {
    const config = configOf({ upscaleDelayMs: 0 })
    expect(autoscale(viewOf({ wanted: 4, ready: 1, meanLoad: 8, panicLoad: 1 }), CALM, config).wanted).to.equal(4)
  })

  it('steps down by one at least, however small the factor', () => {
    expect(firstChange({ wanted: 4, meanLoad: 5 }, configOf({ downscalingFactor: 0.1, downscaleDelayMs: 0 }))?.wanted).to.equal(3)
  })

  it('stays within its bounds and settles at the need, whatever the load', () => {
    const bounds = fc.record({ min: fc.integer({ min: 0, max: 5 }), more: fc.integer({ min: 1, max: 10 }) })
    fc.assert(
      fc.property(bounds, fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 15 }), ({ min, more }, load, start) => {
        const config = configOf({
          minReplicas: min,
          maxReplicas: min + more,
          upscaleDelayMs: 300,
          downscaleDelayMs: 500,
          lookBackMs: 1_000,
        })
        let wanted = Math.max(min, Math.min(min + more, start))
        let memory = CALM
        for (let nowMs = 0; nowMs < 10_000; nowMs += 100) {
          const decided = autoscale({ nowMs, wanted, ready: wanted, load, meanLoad: load, panicLoad: load }, memory, config)
          memory = decided.memory
          wanted = decided.wanted
          expect(wanted).to.be.within(min, min + more)
        }
        expect(wanted).to.equal(Math.max(min, Math.min(min + more, Math.ceil(load / 2))))
      }),
    )
  })
})
