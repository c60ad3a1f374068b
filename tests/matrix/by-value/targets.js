/** The four shapes of the matrix, in plain JavaScript. */
export const nested = (request) => {
  const twice = (n) => n * 2
  function plusOne(n) {
    return twice(n) + 1
  }
  return plusOne(request.data)
}

export class Counter {
  #count
  step = 1
  static unit = 'calls'

  constructor(start) {
    this.#count = start
  }

  call(request) {
    this.#count += request.data * this.step
    return `${this.#count} ${Counter.unit}`
  }
}

export async function* parts(request) {
  for (let part = 0; part < request.data; part++) yield part
}

export const loading = async (request) => {
  const { factor } = await import('./extra.ts')
  return request.data * factor
}
