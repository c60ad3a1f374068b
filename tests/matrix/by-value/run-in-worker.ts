import { Worker } from 'node:worker_threads'
import type { PortableSource } from '../../../core/adapters/portability/index.ts'
import type { EvaluateSourceOptions } from '../../../node/evaluate-source.ts'

export interface WorkerRun {
  readonly portable: PortableSource
  readonly options?: EvaluateSourceOptions
  readonly initArgs?: readonly unknown[]
  readonly request?: unknown
  /** Keep Node's warning about `import()` away. @default true */
  readonly silent?: boolean
}

/** What came of it; `stack` is there when the code threw. */
export interface WorkerOutcome {
  readonly value?: unknown
  readonly stack?: string
  readonly stderr: string
}

const MODULE_URL = new URL('../../../node/evaluate-source.ts', import.meta.url).href

const PROGRAM = `
import { parentPort, workerData } from 'node:worker_threads'
const { run, module } = workerData
const { evaluateSource, silenceImportWarning } = await import(module)
if (run.silent !== false) silenceImportWarning()
let outcome
try {
  const made = evaluateSource(run.portable, run.options)
  const answer = run.portable.kind === 'class' ? new made(...(run.initArgs ?? [])).call(run.request) : made(run.request)
  outcome = { value: answer?.[Symbol.asyncIterator] ? await Array.fromAsync(answer) : await answer }
} catch (error) {
  outcome = { stack: error.stack }
}
parentPort.postMessage(outcome)
`

/** Evaluates and calls a target in a real worker thread that lies elsewhere than any file of this repository. */
export async function runInWorker(run: WorkerRun): Promise<WorkerOutcome> {
  const program = new URL(`data:text/javascript,${encodeURIComponent(PROGRAM)}`)
  const worker = new Worker(program, { workerData: { run, module: MODULE_URL }, stderr: true })
  let outcome: Omit<WorkerOutcome, 'stderr'> | undefined
  let stderr = ''
  worker.on('message', (message) => {
    outcome = message
  })
  worker.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  await new Promise((resolve, reject) => worker.once('error', reject).once('exit', resolve))
  return { ...outcome, stderr }
}
