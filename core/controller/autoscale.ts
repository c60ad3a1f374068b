import { downscaleToZeroDelayMsOf, type ResolvedAutoscaling } from '../model/index.ts'

/** What is seen of a backend at one moment. */
export interface LoadView {
  readonly nowMs: number
  /** Replicas that should be there now. */
  readonly wanted: number
  /** Replicas that take calls. */
  readonly ready: number
  /** Calls that wait or run, at this moment. */
  readonly load: number
  /** Their mean over the look-back window, weighted by time. */
  readonly meanLoad: number
  /** Their mean over the panic window. */
  readonly panicLoad: number
}

/** What must be remembered between two looks. Plain data. */
export interface ScaleMemory {
  /** Since when more, or fewer, than wanted are needed without a break; undefined while the count is right. */
  readonly sinceMs: number | undefined
  readonly direction: 'up' | 'down' | undefined
  /** Panic lasts until this moment; each look that finds panic moves it a look-back window ahead. */
  readonly panicUntilMs: number | undefined
}

export const CALM: ScaleMemory = Object.freeze({ sinceMs: undefined, direction: undefined, panicUntilMs: undefined })

/**
 * How many replicas there should be. Source: the rule of Ray Serve's autoscaler (desired = load / target, smoothed by a factor, clipped, acted on
 * when it has lasted) and the panic window of Knative's. Replicas that are starting count as there, so that a slow start is not answered by more.
 * - Nobody there and somebody waiting: at once, without delay.
 * - Panic: the short window needs `panicThreshold` times what is ready. Up at once, never down until a whole look-back window is calm.
 * - n to 1 and 1 to 0 are steps of their own; the second has its own delay.
 * Pure: the same view and memory give the same answer.
 */
export function autoscale(
  view: LoadView,
  memory: ScaleMemory,
  config: ResolvedAutoscaling,
): { readonly wanted: number; readonly memory: ScaleMemory } {
  const { nowMs, wanted, ready, load } = view
  if (wanted === 0) {
    const woken = load > 0 ? clip(Math.max(1, Math.ceil(config.upscalingFactor)), config) : clip(0, config)
    return { wanted: woken, memory: CALM }
  }
  const panicUntilMs = panicEnd(view, memory, config)
  const isPanic = panicUntilMs !== undefined && nowMs < panicUntilMs
  const needed = neededReplicas(isPanic ? Math.max(view.meanLoad, view.panicLoad) : view.meanLoad, wanted, config)
  const target = clip(needed === 0 && wanted > 1 ? 1 : needed, config)
  const remembered = { panicUntilMs: isPanic ? panicUntilMs : undefined }
  if (target === wanted || (target < wanted && (isPanic || ready < wanted))) {
    return { wanted, memory: { ...remembered, sinceMs: undefined, direction: undefined } }
  }
  const direction = target > wanted ? 'up' : 'down'
  if (direction === 'up' && isPanic) return { wanted: target, memory: { ...remembered, sinceMs: undefined, direction: undefined } }
  const sinceMs = memory.direction === direction && memory.sinceMs !== undefined ? memory.sinceMs : nowMs
  if (nowMs - sinceMs < delayMs(direction, target, config)) return { wanted, memory: { ...remembered, sinceMs, direction } }
  return { wanted: target, memory: { ...remembered, sinceMs: undefined, direction: undefined } }
}

function panicEnd(view: LoadView, memory: ScaleMemory, config: ResolvedAutoscaling): number | undefined {
  const needed = view.panicLoad / config.targetOngoingRequests
  return needed >= config.panicThreshold * Math.max(1, view.ready) ? view.nowMs + config.lookBackMs : memory.panicUntilMs
}

/** The smoothed need as a whole number; a small factor never keeps a step down from being taken at all. */
function neededReplicas(load: number, wanted: number, config: ResolvedAutoscaling): number {
  const desired = load / config.targetOngoingRequests
  const factor = desired > wanted ? config.upscalingFactor : config.downscalingFactor
  // Rounded to a millionth first, so that 3.0000000000004 is three.
  const scaled = Math.ceil(Math.round((wanted + factor * (desired - wanted)) * 1e6) / 1e6)
  return Math.max(0, Math.ceil(desired) < wanted && scaled >= wanted ? wanted - 1 : scaled)
}

const clip = (count: number, { minReplicas, maxReplicas }: ResolvedAutoscaling): number =>
  Math.max(minReplicas, Math.min(maxReplicas, count))

function delayMs(direction: 'up' | 'down', target: number, config: ResolvedAutoscaling): number {
  if (direction === 'up') return config.upscaleDelayMs
  return target === 0 ? downscaleToZeroDelayMsOf(config) : config.downscaleDelayMs
}
