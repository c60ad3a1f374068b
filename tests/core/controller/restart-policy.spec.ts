import { expect } from 'chai'
import { RestartPolicy } from '../../../core/controller/index.ts'

const delays = (policy: RestartPolicy, ...deathsAtMs: number[]): number[] => deathsAtMs.map((atMs) => policy.noteDeath(atMs))

describe('RestartPolicy', () => {
  it('forgives three deaths within a minute', () => {
    expect(delays(new RestartPolicy(), 0, 10, 20)).to.deep.equal([0, 0, 0])
  })

  it('waits a second from the fourth on, doubling up to a minute', () => {
    const policy = new RestartPolicy()
    delays(policy, 0, 0, 0)
    expect(delays(policy, 0, 0, 0, 0, 0, 0, 0, 0)).to.deep.equal([1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1_000))
  })

  it('forgives deaths that are more than a minute apart, however many', () => {
    expect(delays(new RestartPolicy(), 0, 61_000, 122_000, 183_000, 244_000)).to.deep.equal([0, 0, 0, 0, 0])
  })

  it('starts anew after a quiet minute', () => {
    const policy = new RestartPolicy()
    delays(policy, 0, 0, 0, 0)
    expect(policy.noteDeath(61_000)).to.equal(0)
  })

  it('does not take the time it held back for a quiet one', () => {
    const policy = new RestartPolicy()
    delays(policy, ...new Array(10).fill(0))
    expect(policy.noteDeath(61_000)).to.equal(60_000)
  })

  it('says that it holds back only while it does', () => {
    const policy = new RestartPolicy()
    delays(policy, 0, 0, 0)
    expect(policy.isCrashLooping(0)).to.equal(false)
    delays(policy, 0)
    expect(policy.isCrashLooping(1_000)).to.equal(true)
    expect(policy.isCrashLooping(61_000)).to.equal(false)
  })

  it('forgets everything when told to', () => {
    const policy = new RestartPolicy()
    delays(policy, 0, 0, 0, 0)
    policy.forget()
    expect(policy.noteDeath(0)).to.equal(0)
  })
})
