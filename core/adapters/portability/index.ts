/**
 * Functions and classes that travel as source. This door brings the parser along: import it dynamically, when a function is given by value.
 * What is needed before that stands apart in `describe-target.ts` and `worker-globals.ts`, which need nothing.
 */
export { type CheckPortableOptions, checkPortable, type PortableImport, type PortableSource, rewriteImports } from './check-portable.ts'
export { describeTarget } from './describe-target.ts'
export type { TargetForm } from './parse-target.ts'
export type { Refusal, RefusalKind } from './refusal.ts'
export { NODE_WORKER_GLOBALS, WEB_WORKER_GLOBALS } from './worker-globals.ts'
