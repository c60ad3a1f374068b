/** Where V8 and, lately, others leave frames out. */
interface StackCapture {
  captureStackTrace?(holder: object, called: (...args: never[]) => unknown): void
}

/**
 * The URL of the script that called `called`, as the stack names it; undefined where the engine does not tell. Call it before the first `await`.
 */
export function callerUrl(called: (...args: never[]) => unknown): string | undefined {
  const holder: { stack?: string } = {}
  ;(Error as unknown as StackCapture).captureStackTrace?.(holder, called)
  const found = /((?:https?|file):\/\/[^\s()]+?)(?::\d+){1,2}\)?$/m.exec(holder.stack ?? '')
  return found?.[1]
}
