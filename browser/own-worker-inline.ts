import InlineWorker from './worker-entry.ts?worker&inline'

/** Makes the worker of this package from a blob: where no file lies beside this one, or a tool has moved it away. */
export function ownWorker(name: string): Worker {
  return new InlineWorker({ name })
}
