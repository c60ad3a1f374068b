import { expose } from '../../../browser/replica.ts'
import { bestProvider, type DigitAnswer, Digits } from '../digits.ts'

/** What a page shows beside the answer. */
interface AnswerHere extends DigitAnswer {
  /** Which copy of the model answered, and on what it runs. */
  readonly replica: string
}

/** As on the server, and says who it is. */
class DigitsHere extends Digits {
  static override batch = ['call']
  #name = ''

  override async init(context?: { readonly replicaId: string }): Promise<void> {
    this.#name = `${context?.replicaId.split('#').at(-1) ?? ''}, ${await bestProvider()}`
    await super.init()
  }

  override async call(requests: Parameters<Digits['call']>[0]): Promise<(AnswerHere | Error)[]> {
    const answers = await super.call(requests)
    return answers.map((answer) => (answer instanceof Error ? answer : { ...answer, replica: this.#name }))
  }
}

expose(DigitsHere)
