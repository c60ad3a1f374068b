/** A body that the engine does not show: built in, bound, or behind a Proxy. */
const NATIVE = /\{\s*\[native code\]\s*\}\s*$/
/** `class` followed by anything but the parenthesis of a method that is called so. */
const CLASS = /^class(?![\w$]|\s*\()/

/**
 * What a value is to `createBackend`, without parsing. Native and bound functions, and anything behind a Proxy, have no source: undefined, as
 * for everything that is no function.
 */
export function describeTarget(target: unknown): 'function' | 'class' | undefined {
  if (typeof target !== 'function') return undefined
  const text = sourceText(target)
  if (isNativeText(text)) return undefined
  return CLASS.test(text) ? 'class' : 'function'
}

/** The text of a function as written, whatever its own `toString` says. */
export function sourceText(target: object): string {
  return Function.prototype.toString.call(target)
}

/** True for the placeholder text of a function without source. */
export function isNativeText(text: string): boolean {
  return NATIVE.test(text)
}
