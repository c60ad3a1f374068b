import { isLoopbackHost } from './http-options.ts'

/** Which `Host` headers are served. */
export interface HostRuleOptions {
  /** The address that is listened on. */
  readonly host: string
  /** Further names, with or without a port. */
  readonly hosts: readonly string[]
}

/**
 * An allow-list of `Host` headers against DNS rebinding: a page whose name was pointed at this machine sends its own name. Always served are
 * `localhost` and loopback addresses with any port; beyond loopback any address too, as long as no names are listed, for an address cannot be
 * rebound. A name must be listed.
 */
export class HostRule {
  readonly #names: ReadonlySet<string>
  readonly #anyAddress: boolean
  #lastServed: string | undefined

  constructor({ host, hosts }: HostRuleOptions) {
    const bound = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
    this.#names = new Set([bound, ...hosts].map((name) => name.toLowerCase()))
    this.#anyAddress = !isLoopbackHost(host) && hosts.length === 0
  }

  serves(host: string): boolean {
    if (host === this.#lastServed) return true
    const served = this.#isServed(host.toLowerCase())
    if (served) this.#lastServed = host
    return served
  }

  #isServed(host: string): boolean {
    const parts = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/.exec(host)
    const name = parts?.[1]
    if (name === undefined || Number(parts?.[2] ?? 0) > 65_535) return false
    if (this.#names.has(host) || this.#names.has(name)) return true
    const address = canonicalAddress(name)
    return address === undefined ? name === 'localhost' : isLoopbackHost(address) || this.#anyAddress
  }
}

/** An address in its one usual spelling, v6 in brackets; undefined for names and for spellings a browser would never send. */
function canonicalAddress(name: string): string | undefined {
  const isAddress = name.startsWith('[') || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(name)
  return isAddress && URL.canParse(`http://${name}`) && new URL(`http://${name}`).host === name ? name : undefined
}
