import { MARK, mapParts } from './init-args.ts'
import type { LivingArgument } from './living-argument.ts'

/** The other way from `encodeInitArgs`, inside the replica. `revive` knows the marks. */
export function decodeInitArgs(initArgs: readonly unknown[], revive: (argument: LivingArgument) => unknown): unknown[] {
  return initArgs.map((value) => mapParts(value, fromMark(revive)))
}

/** Encoded arguments with other data behind some marks; what `rewrite` gives undefined for stays. It may be asked more than once for one. */
export function rewriteLiving(initArgs: readonly unknown[], rewrite: (argument: LivingArgument) => unknown): unknown[] {
  return decodeInitArgs(initArgs, (argument) => {
    const data = rewrite(argument)
    return data === undefined ? undefined : { [MARK]: argument.mark, data }
  })
}

const fromMark =
  (revive: (argument: LivingArgument) => unknown) =>
  (part: object): unknown => {
    const { [MARK]: mark, data } = part as Record<string, unknown>
    return typeof mark === 'string' ? revive({ mark, data }) : undefined
  }
