import { silenceImportWarning } from './evaluate-source.ts'
import { loadCode } from './load-code.ts'
import { splitChannel } from './process-channel.ts'
import { serveReplica } from './serve-replica.ts'

// The entry of a child process that Shoal starts for a replica. It lives exactly as long as its parent wants: a signal to the whole group, such as
// Ctrl+C, is for the parent, which drains first.
process.on('disconnect', () => process.exit())
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
silenceImportWarning()
const { control, port, outbound } = splitChannel(process as never)
serveReplica(loadCode, control, () => ({ port, outbound }))
