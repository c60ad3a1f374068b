/** Uniform in [0, 1). The platform gives `Math.random`, tests a seeded generator. */
export type Random = () => number

const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789'

/** A random name of lower-case letters and digits that are hard to confuse; five bits a character. No secret. */
export function randomName(random: Random, length: number): string {
  let name = ''
  for (let i = 0; i < length; i++) name += ALPHABET[Math.floor(random() * ALPHABET.length)]
  return name
}
