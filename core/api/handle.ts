import type { ServeRequest } from '../request/index.ts'
import type { HandleOptions, ServeResponse } from '../router/index.ts'

// biome-ignore lint/suspicious/noExplicitAny: inference over any function
type AnyFunction = (...args: any[]) => any
// biome-ignore lint/suspicious/noExplicitAny: inference over any class
type AnyClass = abstract new (...args: any[]) => any

/** Names that are never methods of a handle. */
type NoMethod = 'constructor' | 'init' | 'reconfigure' | 'checkHealth' | 'then' | 'catch' | 'finally' | `_${string}`

/** What one request gives: an element of the list of a batch method, an async iterable for a generator, the awaited result else. */
type ResultOf<F> = F extends (requests: infer Argument, ...rest: never[]) => infer Result
  ? Argument extends readonly unknown[]
    ? ElementOf<Awaited<Result>>
    : PartsOf<Awaited<Result>>
  : unknown
type ElementOf<List> = List extends Iterable<infer Item> ? Exclude<Item, Error> : unknown
type PartsOf<Result> = Result extends AsyncGenerator<infer Part, unknown, unknown> ? AsyncIterable<Part> : Result

/** What may be sent: what the handler declares as the data of its request, or anything. */
type DataOf<F> = F extends (request: infer Argument, ...rest: never[]) => unknown
  ? Argument extends readonly (infer One)[]
    ? DataOfRequest<One>
    : DataOfRequest<Argument>
  : unknown
type DataOfRequest<R> = R extends ServeRequest<infer Data> ? Data : unknown

type Method<F> = {
  remote(
    data?: DataOf<F> | ServeResponse<DataOf<F>> | Request,
    args?: Readonly<Record<string, unknown>>,
    transfer?: readonly object[],
  ): ServeResponse<ResultOf<F>>
}

/** The methods of a class that a handle offers by name. */
type MethodsOf<I> = {
  readonly [K in keyof I as K extends NoMethod | keyof HandleBase<never> | symbol ? never : I[K] extends AnyFunction ? K : never]: Method<
    I[K]
  >
}

interface HandleBase<F> extends Method<F> {
  readonly endpoint: string
  toString(): string
}

type CallOf<I> = I extends { call: infer F } ? F : AnyFunction

/**
 * The caller's view of an endpoint. With `typeof` a function or class as `T`, results, data and methods are typed; without, everything is `unknown`.
 */
export type Handle<T = unknown> = T extends AnyClass
  ? HandleBase<CallOf<InstanceType<T>>> &
      MethodsOf<InstanceType<T>> & {
        options<M extends string = 'call'>(
          options: HandleOptions & { readonly methodName?: M },
        ): InstanceType<T> extends { readonly [K in M]: infer F } ? TypedMethodHandle<T, F> : UntypedHandle
      }
  : T extends AnyFunction
    ? HandleBase<T> & { options(options: HandleOptions): Handle<T> }
    : UntypedHandle

type TypedMethodHandle<T, F> = Omit<Handle<T>, 'remote'> & Method<F>

/** A handle of which nothing is known. */
export interface UntypedHandle {
  readonly endpoint: string
  // biome-ignore lint/suspicious/noExplicitAny: nothing is known of the result
  remote(data?: unknown, args?: Readonly<Record<string, unknown>>, transfer?: readonly object[]): ServeResponse<any>
  options(options: HandleOptions): UntypedHandle
  toString(): string
  // biome-ignore lint/suspicious/noExplicitAny: any other name is a method of the backend
  readonly [method: string]: any
}
