import { HttpRequest, LightResponse } from '../request/index.ts'

/**
 * Prepares the globals of a replica's thread: `new Request(request)` and `fetch(request)` take the stand-in that a handler receives, and `Response`
 * remembers a plain body instead of opening a stream for it. Called once, before user code.
 */
export function prepareThreadGlobals(): void {
  const scope = globalThis as unknown as { Request: typeof Request; Response: unknown; fetch?: (...args: unknown[]) => unknown }
  const NativeRequest = scope.Request
  const nativeFetch = scope.fetch
  scope.Request = new Proxy(NativeRequest, {
    construct: (target, [input, init], newTarget) => Reflect.construct(target, [HttpRequest.real(input), init], newTarget),
  })
  scope.Response = LightResponse
  if (nativeFetch !== undefined) scope.fetch = (input, init) => nativeFetch(HttpRequest.real(input), init)
}
