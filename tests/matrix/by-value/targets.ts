/** The four shapes of the matrix, in TypeScript. `targets.js` has the same without types. */
interface Asked<T> {
  readonly data: T
}

export const nested = (request: Asked<number>): number => {
  const twice = (n: number): number => n * 2
  function plusOne(n: number): number {
    return twice(n) + 1
  }
  return plusOne(request.data)
}

export class Counter {
  #count: number
  step = 1
  static readonly unit: string = 'calls'

  constructor(start: number) {
    this.#count = start
  }

  call(request: Asked<number>): string {
    this.#count += request.data * this.step
    return `${this.#count} ${Counter.unit}`
  }
}

export async function* parts(request: Asked<number>): AsyncGenerator<number> {
  for (let part = 0; part < request.data; part++) yield part
}

export const loading = async (request: Asked<number>): Promise<number> => {
  const { factor } = await import('./extra.ts')
  return request.data * factor
}
