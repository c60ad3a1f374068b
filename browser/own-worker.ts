/** Makes the worker of this package, from its file beside this one. The one-file builds have `own-worker-inline.ts` in its place. */
export function ownWorker(name: string): Worker {
  return new Worker(new URL('./worker-entry.ts', import.meta.url), { type: 'module', name })
}
