import { silenceImportWarning } from './evaluate-source.ts'
import { loadCode } from './load-code.ts'
import { serveThread } from './replica-thread.ts'

// The entry of a worker thread that Shoal starts itself.
silenceImportWarning()
serveThread(loadCode)
