/**
 * A process that joins Shoal: `mesh-joiner.ts - - - <where Shoal is from>`, started with an IPC channel. Told a ticket it joins, and tells the time of
 * day at which it began to. Ends with the process that started it.
 */
import { loadShoal } from '../shoal.ts'

process.on('disconnect', () => process.exit(0))
process.on('message', async (ticket: string) => {
  const startedAtMs = Date.now()
  await shoal.join(ticket, { logger: { debug() {}, info() {}, warn() {}, error() {} } })
  process.send?.(startedAtMs)
})
const shoal = await loadShoal()
process.send?.('loaded')
