import type { ServeError } from '../../core/base/index.ts'
import type { CallSink } from '../../core/service/index.ts'

/** Takes note of every word a call gets. More than one is a bug that `told` shows. */
export class RecordingSink implements CallSink {
  readonly answers: { readonly kind: number; readonly value: unknown }[] = []
  readonly errors: ServeError[] = []

  answer(kind: number, value: unknown): void {
    this.answers.push({ kind, value })
  }

  fail(error: ServeError): void {
    this.errors.push(error)
  }

  /** How often the call was told of its end. */
  get told(): number {
    return this.answers.length + this.errors.length
  }

  get value(): unknown {
    return this.answers[0]?.value
  }

  get error(): ServeError | undefined {
    return this.errors[0]
  }

  get code(): string | undefined {
    return this.errors[0]?.code
  }
}
