/**
 * Hashing of shard keys. Every step is exact in IEEE 754 or in 32-bit integers, so that a key gives the same bits on every engine, node and day.
 * A change here moves keys, so the vectors must not change between releases. Draws: '' 0.9505763673954057, 'a' 0.040362796507345755, 'user:42'
 * 0.5616207809981548, 'héllo' 0.7781350499696076. Scores of the tag 'v1': 'a' 0.985388665953096, 'user:42' 0.10449751252012562.
 */

/** 2^-53: turns an integer of 53 bits into a number in [0, 1). */
const UNIT = 1 / 9_007_199_254_740_992

/** Separates key and tag; no UTF-16 code unit has this value, so ('ab', 'c') and ('a', 'bc') stay apart. */
const SEPARATOR = 0x1_0000

/** A number in [0, 1) that depends on the key alone: what a keyed request uses in place of chance. */
export function drawOfShardKey(key: string): number {
  return hash53(key, '') * UNIT
}

/** A number in (0, 1) that depends on key and tag; independent of {@link drawOfShardKey}. */
export function unitOfShardKey(key: string, tag: string): number {
  return (hash53(key, tag) || 1) * UNIT
}

/**
 * 53 bits of key and tag. Two lanes in the manner of MurmurHash3 x86 (Appleby 2011, public domain): each UTF-16 code unit of the key, the
 * separator and each of the tag is a block; the lanes differ in seed and in multipliers; at the end they are added across and go through the
 * 32-bit finaliser. The result is the first lane and the upper 21 bits of the second.
 */
function hash53(key: string, tag: string): number {
  let first = 0x2f0b_4c47
  let second = 0x6a09_e667
  const length = key.length + 1 + tag.length
  for (let i = 0; i < length; i++) {
    const unit = i < key.length ? key.charCodeAt(i) : i === key.length ? SEPARATOR : tag.charCodeAt(i - key.length - 1)
    let block = Math.imul(unit, 0xcc9e_2d51)
    first ^= Math.imul((block << 15) | (block >>> 17), 0x1b87_3593)
    first = (Math.imul((first << 13) | (first >>> 19), 5) + 0xe654_6b64) | 0
    block = Math.imul(unit, 0x38b3_4ae5)
    second ^= Math.imul((block << 16) | (block >>> 16), 0xa1e3_8b93)
    second = (Math.imul((second << 17) | (second >>> 15), 5) + 0x0bca_a747) | 0
  }
  first ^= length
  second ^= length
  first = (first + second) | 0
  second = (second + first) | 0
  first = finalise(first)
  second = finalise(second)
  first = (first + second) | 0
  second = (second + first) | 0
  return (first >>> 0) * 0x20_0000 + (second >>> 11)
}

/** fmix32 of MurmurHash3: every bit in changes every bit out with a chance near one half. */
function finalise(lane: number): number {
  let bits = lane
  bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35)
  return bits ^ (bits >>> 16)
}

/**
 * Natural logarithm of `value` in (0, 1), by four basic operations alone: `Math.log` may differ in the last bit from engine to engine, and a
 * key must not. Halving brings the value near 1, then ln m = 2 artanh((m - 1) / (m + 1)) by its series. Within 1e-15, relative.
 */
export function lnOfUnit(value: number): number {
  let mantissa = value
  let halvings = 0
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2
    halvings++
  }
  const ratio = (mantissa - 1) / (mantissa + 1)
  const square = ratio * ratio
  // The terms shrink by more than 33 each: the eleventh is below 2^-53 of the sum.
  let sum = 0
  for (let odd = 21; odd >= 1; odd -= 2) sum = sum * square + 1 / odd
  return 2 * ratio * sum - halvings * Math.LN2
}
