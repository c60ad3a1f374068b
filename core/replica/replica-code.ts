/** The code of a backend in the form in which its replicas receive it. All but `inline` are plain data. */
export type ReplicaCode =
  /** A function or class as source; `filename` is where its `import()` resolves from and what stack traces name. */
  | {
      readonly kind: 'source'
      /** The target as its checker gave it; only the platform's loader looks inside. */
      readonly portable: object
      readonly filename?: string | undefined
      readonly lineOffset?: number | undefined
      readonly columnOffset?: number | undefined
    }
  /** A module loaded by URL in the replica. */
  | { readonly kind: 'module'; readonly url: string; readonly exportName: string }
  /** A worker that the user's own factory makes; its file calls `expose`. */
  | { readonly kind: 'worker'; readonly factory: (WorkerClass: never) => unknown }
  /** The function or class itself, for replicas that run beside their caller. */
  | { readonly kind: 'inline'; readonly value: unknown }
