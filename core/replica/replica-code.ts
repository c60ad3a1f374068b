/** Bytes that travel between nodes and are known by what they are: a bundle of code, or an asset. Plain data. */
export interface BlobRef {
  /** SHA-256 in 64 hexadecimal digits. */
  readonly digest: string
  /** Length in bytes. */
  readonly bytes: number
  /** Name of the file that it becomes on another node: letters, digits, `.`, `_` and `-`, 100 at most. */
  readonly name: string
}

/** A module with all that it imports in one file, and the files that must lie beside it because it names them by `new URL(..., import.meta.url)`. */
export interface BundleRef extends BlobRef {
  readonly files: readonly BlobRef[]
}

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
  /** A module loaded by URL in the replica. `bundle` is the same for nodes that do not have the URL. */
  | { readonly kind: 'module'; readonly url: string; readonly exportName: string; readonly bundle?: BundleRef | undefined }
  /** A worker that the user's own factory makes; its file calls `expose`. */
  | { readonly kind: 'worker'; readonly factory: (WorkerClass: never) => unknown }
  /** The function or class itself, for replicas that run beside their caller. */
  | { readonly kind: 'inline'; readonly value: unknown }
