import { MemoryStateStore } from '../../../core/controller/index.ts'
import { stateStoreCompliance } from '../../compliance/state-store.ts'

stateStoreCompliance('MemoryStateStore', async () => {
  const values = new Map<string, unknown>()
  return { open: async () => new MemoryStateStore(values) }
})
