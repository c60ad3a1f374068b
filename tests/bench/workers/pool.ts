/** What piscina and tinypool load: they call an export by its name. */
import * as workload from '../workload.ts'

export function echo(data: unknown): unknown {
  return data
}

export function burn(data: unknown): number {
  return workload.burn({ data })
}

export function runSingle(data: unknown): number {
  return workload.runSingle({ data })
}

export function runBatch(items: readonly unknown[]): number[] {
  return workload.runBatch(items.map((data) => ({ data })))
}
