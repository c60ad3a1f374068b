import type { CallMeta, HandleMeta } from './frames.ts'

const EMPTY_META: HandleMeta = Object.freeze({})

/** The options behind a meta slot; a slot that is an HTTP head gives none. */
export function unpackHandleMeta(meta: CallMeta): HandleMeta {
  if (typeof meta === 'string') return meta.charCodeAt(0) === 0x7b ? (JSON.parse(meta) as HandleMeta) : EMPTY_META
  return meta === 0 ? EMPTY_META : meta
}

/** Packs options into the cheapest slot that keeps them: nothing, one string, or an object when the args hold more than JSON can. */
export function packHandleMeta(meta: HandleMeta): CallMeta {
  for (const key in meta) {
    if (meta[key as keyof HandleMeta] !== undefined) {
      return meta.a === undefined || isFlatJson(meta.a) ? JSON.stringify(meta) : meta
    }
  }
  return 0
}

function isFlatJson(args: Readonly<Record<string, unknown>>): boolean {
  return Object.values(args).every(
    (value) =>
      typeof value === 'string' || typeof value === 'boolean' || value === null || (typeof value === 'number' && Number.isFinite(value)),
  )
}
