/** Type tests: this file is compiled, never run. What must not compile says so; a line that compiles all the same is an error of the compiler. */
import type { Handle, UntypedHandle } from '../../core/api/index.ts'
import type { ServeRequest } from '../../core/request/index.ts'
import type { ServeResponse } from '../../core/router/index.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_holds: Equal<A, B>): void => {}
type Answer<R> = R extends ServeResponse<infer T> ? T : never

declare const request: Request

// A function.
declare const double: (request: ServeRequest<number>) => number
declare const later: (request: ServeRequest<string>) => Promise<{ length: number }>
declare const parts: (request: ServeRequest) => AsyncGenerator<string>
declare const free: () => string
declare const many: (requests: ServeRequest<number>[]) => Promise<(string | Error)[]>

export function functions(handles: {
  double: Handle<typeof double>
  later: Handle<typeof later>
  parts: Handle<typeof parts>
  free: Handle<typeof free>
  many: Handle<typeof many>
}): void {
  const doubled = handles.double.remote(2)
  same<Answer<typeof doubled>, number>(true)
  const length = handles.later.remote('x')
  same<Answer<typeof length>, { length: number }>(true)
  const streamed = handles.parts.remote()
  same<Answer<typeof streamed>, AsyncIterable<string>>(true)
  const anything = handles.free.remote({ any: 'thing' })
  same<Answer<typeof anything>, string>(true)
  // One request of a batch gives one element of the list, and an error is thrown, not returned.
  const one = handles.many.remote(1)
  same<Answer<typeof one>, string>(true)

  // @ts-expect-error the handler declares that its data is a number
  handles.double.remote('two')
  // @ts-expect-error a function has no methods
  handles.double.other
  // @ts-expect-error one request of a batch is no list
  handles.many.remote([1, 2])
  // A response and a Request stand for the data.
  handles.double.remote(handles.double.remote(2))
  handles.double.remote(request)
  // @ts-expect-error a response of something else does not
  handles.double.remote(handles.free.remote())
  // Args and transfer.
  handles.double.remote(1, { a: 'b' }, [new ArrayBuffer(1)])
  // @ts-expect-error args are an object
  handles.double.remote(1, 'a=b')

  const configured = handles.double.options({ timeoutMs: 5 })
  same<typeof configured, Handle<typeof double>>(true)
  // @ts-expect-error there is no such option
  handles.double.options({ timeout: 5 })
  // @ts-expect-error it is a number of milliseconds
  handles.double.options({ timeoutMs: '5s' })
  same<typeof handles.double.endpoint, string>(true)
}

// A class.
declare class Digits {
  static batch: string[]
  count: number
  constructor(model: string)
  init(): Promise<void>
  reconfigure(config: unknown): void
  checkHealth(): void
  call(request: ServeRequest<Uint8Array>): { digit: number }
  explain(request: ServeRequest<{ digit: number }>): Promise<string>
  tokens(request: ServeRequest<string>): AsyncGenerator<number>
  add(request: number): number
  remote(request: ServeRequest<number>): 'a method named like a member of handles'
  _private(): void
}

export function classes(handle: Handle<typeof Digits>): void {
  const digit = handle.remote(new Uint8Array())
  same<Answer<typeof digit>, { digit: number }>(true)
  const text = handle.explain.remote({ digit: 3 })
  same<Answer<typeof text>, string>(true)
  const tokens = handle.tokens.remote('x')
  same<Answer<typeof tokens>, AsyncIterable<number>>(true)
  // A response is an async iterable of its parts, too.
  const iterated = tokens[Symbol.asyncIterator]()
  same<typeof iterated, AsyncIterableIterator<number, void, undefined>>(true)
  // The result of one is the data of the other.
  handle.explain.remote(handle.remote(new Uint8Array()))

  // @ts-expect-error the default method takes bytes
  handle.remote('text')
  // @ts-expect-error explain takes a digit
  handle.explain.remote({ digt: 3 })
  // @ts-expect-error a field is no method
  handle.count
  // @ts-expect-error the life of a replica is not called through a handle
  handle.init
  // @ts-expect-error nor is its config
  handle.reconfigure
  // @ts-expect-error nor its health
  handle.checkHealth
  // @ts-expect-error what begins with an underscore is private
  handle._private
  // @ts-expect-error there is no such method
  handle.nothing

  // The own names of a handle win.
  same<Answer<ReturnType<typeof handle.remote>>, { digit: number }>(true)
  const named = handle.options({ methodName: 'explain' }).remote({ digit: 1 })
  same<Answer<typeof named>, string>(true)
  const plain = handle.options({ timeoutMs: 5 }).remote(new Uint8Array())
  same<Answer<typeof plain>, { digit: number }>(true)
}

// Nothing known.
export function untyped(handle: Handle): void {
  same<typeof handle, UntypedHandle>(true)
  handle.remote(1, { a: 'b' })
  handle.whatever.remote(1)
  handle.options({ methodName: 'x' }).remote()
  // @ts-expect-error there is no such option
  handle.options({ metodName: 'x' })
}
