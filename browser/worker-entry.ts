import { loadCode } from './load-code.ts'
import { serveWorker } from './replica-worker.ts'

// The entry of a Web Worker that Shoal starts itself.
serveWorker(loadCode)
