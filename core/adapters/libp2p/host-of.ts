const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/**
 * Who answers for an address: IPv4 by itself, IPv6 by the half that a site is given. Undefined for this machine, from which a proxy may bring anybody,
 * and for what is no address.
 * @param name of the part of a multiaddr that names the host
 */
export function hostOf(name: string, value: string): string | undefined {
  if (name === 'ip4') return value.startsWith('127.') ? undefined : value
  if (name !== 'ip6' || value === '::1') return undefined
  const mapped = MAPPED.exec(value)?.[1]
  if (mapped !== undefined) return hostOf('ip4', mapped)
  const [head = [], tail] = value.split('::').map((part) => (part === '' ? [] : part.split(':')))
  const groups = tail === undefined ? [...head] : [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  return `${groups.slice(0, 4).join(':')}::/64`
}
