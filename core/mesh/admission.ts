import { type Clock, type ErrorEnvelope, fromErrorEnvelope, isServeError, ServeError, type Turns, toErrorEnvelope } from '../base/index.ts'
import type { Resources } from '../model/index.ts'
import { Link, type LinkOptions } from './link.ts'
import type { PeerConnection } from './peer-transport.ts'
import type { MeshRole } from './roles.ts'
import { type CredentialClaims, type Grant, notValid, readCredential, type VerifySigned } from './ticket.ts'

/** Grows when ports or messages change in a way that an older side cannot take. */
export const MESH_PROTOCOL_VERSION = 3

/** How long a connection may take to become a member. */
export const ADMISSION_MS = 5_000

/** How far the clock of another member may be off when it judges a credential. The issuer itself gives none. */
const CREDENTIAL_LEEWAY_MS = 60_000

/** What a peer says of itself. Only what it may do is proven; the rest is its word. */
export interface PeerCard {
  readonly name: string
  readonly runtime: 'node' | 'browser'
  /** Made anew at each start: a peer that came back is not the one that went. */
  readonly incarnation: string
  /** Where it can be dialled by other members. */
  readonly addresses: readonly string[]
  /** Name of its machine; peers of one name see the same files. */
  readonly machine: string
  readonly resources: Resources
  readonly labels: Readonly<Record<string, string>>
  /** Isolations that it can give replicas. */
  readonly isolations: readonly string[]
  /** Backends whose code it has from its owner, when it takes no code from others. */
  readonly onlyBackends?: readonly string[] | undefined
  /** It passes on what goes between two others. */
  readonly relays?: boolean
}

/** To be led by who leads the mesh, or to keep the state together with another controller. */
export type Purpose = 'controller' | 'group'

/** The other end of a link, with what its credential grants. */
export interface Member extends Grant {
  readonly peerId: string
  readonly ticketId: string
  readonly card: PeerCard
  readonly link: Link
  /** What the other side wants of the link; undefined: what any two members have. */
  readonly wants?: Purpose | undefined
}

type Hello = {
  readonly protocol: number
  readonly card: PeerCard
  readonly ticket?: string
  readonly credential?: string
  readonly roles?: readonly string[]
  /** What the connection is for, where that is not what any two members have. */
  readonly wants?: Purpose
}
type Welcome = { readonly credential?: string; readonly proof: string; readonly card: PeerCard }
type Message =
  | ({ readonly kind: 'hello' } & Hello)
  | ({ readonly kind: 'welcome' } & Welcome)
  | { readonly kind: 'ready' }
  | { readonly kind: 'refused'; readonly error: ErrorEnvelope }

/** What both sides bring. */
export interface AdmissionOptions {
  readonly card: () => PeerCard
  readonly linkOptions: Pick<LinkOptions, 'codec' | 'maxMessageBytes'>
  readonly verify: VerifySigned
  /** Milliseconds since 1970. */
  readonly epochMs: () => number
}

export interface GateOptions extends AdmissionOptions {
  /** Public key of the mesh. */
  readonly mesh: string
  /** What proves that this side is a member. */
  readonly proof: () => string
  readonly isRevoked: (ticketId: string) => boolean
  /** Throws where the mesh is not led from here, for a member that wants to be led. @default it is */
  readonly requireLeading?: () => void
  /** Throws when no more peers are taken; asked before a ticket is redeemed. */
  readonly requireRoom?: (peerId: string) => void
  /** Throws when there is no place for one more member; asked once it has proven that it is one, and may make one. */
  readonly requirePlace?: (peerId: string) => void
  /** The other side has said what it wants. */
  readonly onHello?: () => void
  /** Redeems a ticket and makes a credential; missing where tickets cannot be redeemed. */
  readonly redeem?: (ticket: string, peerId: string, wantedRoles: readonly string[] | undefined) => Promise<Issued>
  /** Judges how old a credential may be and makes a new one; missing where none is made, and one that has ended is refused. */
  readonly renew?: (claims: CredentialClaims) => Promise<Issued>
}

type Issued = { readonly claims: CredentialClaims; readonly token: string }

/**
 * The side that was dialled. Resolves with a member whose link is open, or rejects with what the other side was told; the connection is closed then.
 * A stranger hears that it is not welcome, and nothing else.
 */
export async function admit(connection: PeerConnection, options: GateOptions, clock: Clock, turns: Turns): Promise<Member> {
  const talk = new Talk(connection, false, options, clock, turns)
  try {
    const hello = await talk.next('hello')
    options.onHello?.()
    options.requireRoom?.(connection.peerId)
    const { claims, token } = await judge(hello, connection.peerId, options)
    // A stranger does not even hear which version is spoken here.
    if (hello.protocol !== MESH_PROTOCOL_VERSION) throw otherVersion(hello.protocol)
    if (hello.wants === 'controller') options.requireLeading?.()
    else if (hello.wants === undefined) options.requirePlace?.(claims.peerId)
    talk.say({ kind: 'welcome', proof: options.proof(), card: options.card(), ...(token !== undefined && { credential: token }) })
    await talk.next('ready')
    talk.done()
    const { peerId, roles, ticketId, trusted, maxReplicas, endpoints } = claims
    const limits = { ...(maxReplicas !== undefined && { maxReplicas }), ...(endpoints !== undefined && { endpoints }) }
    const wants = hello.wants === 'controller' || hello.wants === 'group' ? hello.wants : undefined
    return { peerId, roles, ticketId, trusted, ...limits, card: toCard(hello.card), link: talk.link, wants }
  } catch (error) {
    throw talk.refuse(error)
  }
}

/** Tells the other side, which is not heard, why. @returns that error */
export function turnAway(connection: PeerConnection, error: ServeError, options: AdmissionOptions, clock: Clock, turns: Turns): ServeError {
  return new Talk(connection, false, options, clock, turns).refuse(error)
}

/** Whether admission failed because the other side said nothing. */
export function isSilence(error: unknown): boolean {
  return (
    isServeError(error, 'ERR_PEER_UNREACHABLE') && (error.details as { readonly afterMs?: unknown } | undefined)?.afterMs === ADMISSION_MS
  )
}

export interface EnterOptions extends AdmissionOptions {
  /** Public key of the mesh that the other side must belong to. */
  readonly mesh: string
  /** What lets this side in. */
  readonly pass: { readonly ticket: string } | { readonly credential: string }
  /** Roles asked for, of those that the ticket grants. @default all */
  readonly roles?: readonly MeshRole[] | undefined
  /** Who does not lead refuses `controller` with `ERR_NO_CONTROLLER`. @default what any two members have */
  readonly wants?: Purpose | undefined
}

/** What the dialling side has in the end: the other member, and, if it came with a ticket, its own credential. */
export interface Entered {
  readonly member: Member
  readonly credential: string | undefined
}

/** The side that dialled. Rejects with what the other side said, or with `ERR_TICKET_INVALID` when that one cannot prove that it is of the mesh. */
export async function enter(connection: PeerConnection, options: EnterOptions, clock: Clock, turns: Turns): Promise<Entered> {
  const talk = new Talk(connection, true, options, clock, turns)
  try {
    talk.say({
      kind: 'hello',
      protocol: MESH_PROTOCOL_VERSION,
      card: options.card(),
      ...options.pass,
      ...(options.roles !== undefined && { roles: options.roles }),
      ...(options.wants !== undefined && { wants: options.wants }),
    })
    const welcome = await talk.next('welcome')
    const claims = await readCredential(welcome.proof, options.mesh, options.verify)
    if (claims.peerId !== connection.peerId) throw notValid(`peer ${connection.peerId} showed the credential of another peer`)
    requireFresh(claims, options)
    talk.say({ kind: 'ready' })
    talk.done()
    const { peerId, roles, ticketId, trusted } = claims
    return { member: { peerId, roles, ticketId, trusted, card: toCard(welcome.card), link: talk.link }, credential: welcome.credential }
  } catch (error) {
    throw talk.refuse(error)
  }
}

async function judge(
  hello: Hello,
  peerId: string,
  options: GateOptions,
): Promise<{ readonly claims: CredentialClaims; readonly token: string | undefined }> {
  if (typeof hello.ticket === 'string') {
    if (options.redeem === undefined) throw new ServeError('ERR_NO_CONTROLLER', 'tickets are redeemed by the controller that issued them')
    return options.redeem(hello.ticket, peerId, hello.roles)
  }
  const claims = await readCredential(hello.credential, options.mesh, options.verify)
  if (claims.peerId !== peerId) throw notValid('the credential is bound to another peer')
  if (options.isRevoked(claims.ticketId)) throw notValid('the ticket of this peer was revoked')
  if (options.renew !== undefined) return options.renew(claims)
  requireFresh(claims, options)
  return { claims, token: undefined }
}

function requireFresh(claims: CredentialClaims, { epochMs }: AdmissionOptions): void {
  if (epochMs() < claims.expiresAtMs + CREDENTIAL_LEEWAY_MS) return
  throw new ServeError('ERR_TICKET_EXPIRED', `the credential of peer ${claims.peerId} has expired; it must see its controller again`)
}

/** The conversation on a link that is not open yet. */
class Talk {
  readonly link: Link
  readonly #stopTimer: () => void
  readonly #heard: Message[] = []
  #waiting: { resolve(message: Message): void; reject(error: unknown): void } | undefined
  #failure: ServeError | undefined
  #isDone = false

  constructor(connection: PeerConnection, isDialler: boolean, options: AdmissionOptions, clock: Clock, turns: Turns) {
    const onAdmission = (payload: Uint8Array): void => this.#hear(payload)
    this.link = new Link({ ...options.linkOptions, channel: connection.channel, isDialler, onAdmission }, clock, turns)
    this.#stopTimer = clock.after(ADMISSION_MS, () => {
      const message = `peer ${connection.peerId} did not finish its admission within ${ADMISSION_MS} ms`
      this.#fail(new ServeError('ERR_PEER_UNREACHABLE', message, { details: { afterMs: ADMISSION_MS } }))
    })
    void this.link.whenGone.then((end) => {
      this.#fail(end.fault ?? new ServeError('ERR_PEER_UNREACHABLE', `the connection ended during admission (${end.reason})`))
    })
  }

  say(message: Message): void {
    this.link.sendAdmission(new TextEncoder().encode(JSON.stringify(message)))
  }

  async next<K extends Message['kind']>(kind: K): Promise<Extract<Message, { readonly kind: K }>> {
    const message = this.#heard.shift() ?? (await this.#wait())
    if (message.kind === 'refused') throw fromErrorEnvelope(message.error)
    if (message.kind !== kind) throw new ServeError('ERR_BAD_REQUEST', `a peer said ${String(message.kind)} where ${kind} was due`)
    return message as Extract<Message, { readonly kind: K }>
  }

  /** From here on the link takes everything else. */
  done(): void {
    this.#isDone = true
    this.#stopTimer()
    this.link.open()
  }

  /** Tells the other side, if it still hears, and closes. @returns the error to throw here */
  refuse(error: unknown): ServeError {
    this.#stopTimer()
    const refusal = isServeError(error) ? error : new ServeError('ERR_BAD_REQUEST', 'a peer said something malformed', { cause: error })
    if (!this.link.isGone) {
      // Without stack or cause: they tell of the inside.
      const { code, message, name } = toErrorEnvelope(refusal)
      this.say({ kind: 'refused', error: { name, message, ...(code !== undefined && { code }) } })
      this.link.close('not admitted')
    }
    return refusal
  }

  #hear(payload: Uint8Array): void {
    if (this.#isDone || this.#heard.length > 2) throw new ServeError('ERR_BAD_REQUEST', 'a peer speaks of admission out of turn')
    const message = parse(payload)
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting === undefined) this.#heard.push(message)
    else if (message.kind === 'ready') {
      // What follows in the same bytes is no longer admission, and the waiter runs later.
      this.done()
      waiting.resolve(message)
    } else waiting.resolve(message)
  }

  #wait(): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure)
      else this.#waiting = { resolve, reject }
    })
  }

  #fail(failure: ServeError): void {
    this.#failure ??= failure
    this.#stopTimer()
    this.#waiting?.reject(failure)
    this.#waiting = undefined
  }
}

function parse(payload: Uint8Array): Message {
  try {
    const message: unknown = JSON.parse(new TextDecoder().decode(payload))
    if (typeof message === 'object' && message !== null) return message as Message
  } catch {
    // Told below.
  }
  throw new ServeError('ERR_BAD_REQUEST', `a peer sent ${payload.byteLength} bytes that are no message of admission`)
}

/** A card with every field of the right kind, whatever was sent. */
function toCard(card: unknown): PeerCard {
  const given = (typeof card === 'object' && card !== null ? card : {}) as Record<string, unknown>
  const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 256) : '')
  const texts = (value: unknown): string[] => (Array.isArray(value) ? value.slice(0, 32).map(text) : [])
  const record = (value: unknown): Record<string, unknown> =>
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  const amount = (value: unknown): number => (typeof value === 'number' && value >= 0 && Number.isFinite(value) ? value : 0)
  const resources = record(given.resources)
  return Object.freeze({
    name: text(given.name),
    runtime: given.runtime === 'browser' ? 'browser' : 'node',
    incarnation: text(given.incarnation),
    machine: text(given.machine),
    addresses: texts(given.addresses),
    resources: Object.freeze({
      cpu: amount(resources.cpu),
      gpu: amount(resources.gpu),
      memoryBytes: amount(resources.memoryBytes),
      custom: Object.fromEntries(Object.entries(record(resources.custom)).map(([name, value]) => [name, amount(value)])),
    }),
    labels: Object.freeze(Object.fromEntries(Object.entries(record(given.labels)).map(([name, value]) => [name, text(value)]))),
    isolations: texts(given.isolations),
    ...(given.relays === true && { relays: true }),
    ...(Array.isArray(given.onlyBackends) && { onlyBackends: given.onlyBackends.slice(0, 1_000).map(text) }),
  })
}

const otherVersion = (protocol: unknown): ServeError =>
  new ServeError(
    'ERR_PROTOCOL_VERSION',
    `this peer speaks version ${MESH_PROTOCOL_VERSION} of the mesh, the other one version ${String(protocol)}`,
  )
