import { ServeError } from '../base/index.ts'
import {
  BOOLEAN,
  type FieldRule,
  type FieldRules,
  integerFrom,
  invalidField,
  numberFrom,
  oneOf,
  RECORD,
  readFields,
  readRecord,
} from './field-rules.ts'

/** Where a replica runs: a worker thread (in a page a Web Worker), a child process, or the thread of its caller. */
export const ISOLATIONS = Object.freeze(['thread', 'process', 'inline'] as const)
/** One of {@link ISOLATIONS}. */
export type Isolation = (typeof ISOLATIONS)[number]

/** What a replica asks of its node, or a node offers. Nothing is accounted unless asked for. */
export interface Resources {
  /** Cores; fractions allowed. 0 or more. @default 0 */
  readonly cpu?: number | undefined
  /** Graphics processors; fractions allowed. 0 or more. @default 0 */
  readonly gpu?: number | undefined
  /** Memory in bytes. 0 or more. @default 0 */
  readonly memoryBytes?: number | undefined
  /** Amounts of resources that the operator named. Each 0 or more. @default none */
  readonly custom?: Readonly<Record<string, number>> | undefined
}

/** Which peers a replica may be placed on. */
export interface Placement {
  /** @default 'any' */
  readonly runtime?: 'node' | 'browser' | 'any' | undefined
  /** Labels that a peer must bear, all of them. @default none */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** True: also on peers that nobody vouches for, such as a visitor's tab. @default false */
  readonly untrusted?: boolean | undefined
}

/** What a user may set of how and where replicas run; fixed for the life of a backend. */
export interface ReplicaOptions {
  /** See {@link ISOLATIONS}. @default 'thread' */
  readonly isolation?: Isolation | undefined
  readonly resources?: Resources | undefined
  readonly placement?: Placement | undefined
  /** Most heap of a replica in bytes; more ends it. Integer of 1 or more. @default the platform's own */
  readonly memoryLimitBytes?: number | undefined
  /** The whole environment that a replica sees. @default empty */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** True, in a page: one set of replicas for all tabs of the origin. @default false */
  readonly shared?: boolean | undefined
}

/** {@link Resources} with a number in every place. Frozen. */
export interface ResolvedResources {
  readonly cpu: number
  readonly gpu: number
  readonly memoryBytes: number
  readonly custom: Readonly<Record<string, number>>
}

/** {@link ReplicaOptions}, checked and filled. Frozen. */
export interface ResolvedReplicaOptions {
  readonly isolation: Isolation
  readonly resources: ResolvedResources
  readonly placement: {
    readonly runtime: 'node' | 'browser' | 'any'
    readonly labels: Readonly<Record<string, string>>
    readonly untrusted: boolean
  }
  readonly memoryLimitBytes: number | undefined
  readonly env: Readonly<Record<string, string>>
  readonly shared: boolean
}

const SUBJECT = 'replica options'

const RULES: FieldRules<ReplicaOptions> = Object.freeze({
  isolation: oneOf(ISOLATIONS),
  resources: RECORD,
  placement: RECORD,
  memoryLimitBytes: integerFrom(1),
  env: RECORD,
  shared: BOOLEAN,
})

const RESOURCE_RULES: FieldRules<Resources> = Object.freeze({
  cpu: numberFrom(0),
  gpu: numberFrom(0),
  memoryBytes: numberFrom(0),
  custom: RECORD,
})

const PLACEMENT_RULES: FieldRules<Placement> = Object.freeze({
  runtime: oneOf(['node', 'browser', 'any']),
  labels: RECORD,
  untrusted: BOOLEAN,
})

const TEXT: FieldRule = Object.freeze({ expected: 'a string', accepts: (value: unknown) => typeof value === 'string' })

/** No platform takes another text as part of an environment. */
const ENV_TEXT: FieldRule = Object.freeze({
  expected: 'a string without the NUL character',
  accepts: (value: unknown) => typeof value === 'string' && !value.includes('\0'),
})

/**
 * Checks and fills replica options. `supportedIsolations` are those that this place can give, the preferred first: without `'thread'` among them
 * the first is the default. Throws `ERR_INVALID_ARG_TYPE` (no plain object), `ERR_INVALID_CONFIG` (unknown key, type, range),
 * `ERR_UNSUPPORTED` (an isolation that is not to be had here).
 */
export function resolveReplicaOptions(given: unknown, supportedIsolations: readonly string[] = ISOLATIONS): ResolvedReplicaOptions {
  const fields = readFields<ReplicaOptions>(SUBJECT, given, RULES)
  const placement = readFields<Placement>(SUBJECT, fields.placement, PLACEMENT_RULES, 'placement.')
  return Object.freeze({
    isolation: chooseIsolation(fields.isolation, supportedIsolations),
    resources: resolveResources(fields.resources, SUBJECT, 'resources.'),
    placement: Object.freeze({
      runtime: placement.runtime ?? 'any',
      labels: readRecord<string>(SUBJECT, 'placement.labels', placement.labels, TEXT),
      untrusted: placement.untrusted ?? false,
    }),
    memoryLimitBytes: fields.memoryLimitBytes,
    env: resolveEnv(fields.env),
    shared: fields.shared ?? false,
  })
}

/** Checks and fills an amount of resources. `subject` and `path` go into messages, as for a config. */
export function resolveResources(given: unknown, subject = 'resources', path = ''): ResolvedResources {
  const fields = readFields<Resources>(subject, given, RESOURCE_RULES, path)
  return Object.freeze({
    cpu: fields.cpu ?? 0,
    gpu: fields.gpu ?? 0,
    memoryBytes: fields.memoryBytes ?? 0,
    custom: readRecord<number>(subject, `${path}custom`, fields.custom, numberFrom(0)),
  })
}

function chooseIsolation(given: Isolation | undefined, supported: readonly string[]): Isolation {
  const isolation = given ?? (supported.includes('thread') ? 'thread' : ISOLATIONS.find((one) => one === supported[0])) ?? 'thread'
  if (supported.includes(isolation)) return isolation
  throw new ServeError('ERR_UNSUPPORTED', `isolation "${isolation}" is not to be had here; there is ${supported.join(', ') || 'none'}`, {
    details: { isolation, supported: [...supported] },
  })
}

function resolveEnv(given: unknown): Readonly<Record<string, string>> {
  const env = readRecord<string>(SUBJECT, 'env', given, ENV_TEXT)
  for (const name of Object.keys(env)) {
    if (name === '' || name.includes('=') || name.includes('\0')) {
      throw invalidField(SUBJECT, 'env', name, 'an object whose names are not empty and hold no "=" and no NUL')
    }
  }
  return env
}
