import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { connect } from '../../node/index.ts'
import { type InstanceFolders, useInstanceFolders } from '../support/instance-folders.ts'
import { runCli, spawnCli } from '../support/run-cli.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))

interface Running {
  readonly child: ChildProcess
  readonly url: string
}

const started = async (args: readonly string[]): Promise<Running> => {
  const child = spawnCli([...args, '--json', '--port', '0'])
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    return { child, url: (JSON.parse(line) as { url: string }).url }
  }
  throw new Error(`it ended with code ${child.exitCode}`)
}

/** Resolves once the first signal was heard: the gateway says that it drains, or listens no more. */
const whenDraining = async (url: string): Promise<void> => {
  while ((await fetch(`${url}/-/readyz`).catch(() => undefined))?.status === 200) await delay(5)
}

const exitOf = async (child: ChildProcess): Promise<unknown> =>
  child.exitCode === null && child.signalCode === null ? (await once(child, 'exit'))[0] : child.exitCode

describe('shoal on the command line', function () {
  this.timeout(120_000)

  describe('with an app that runs', () => {
    let folders: InstanceFolders
    let running: Running

    before(async () => {
      folders = useInstanceFolders()
      running = await started(['run', fixture('cli-app.ts'), '--name', 'app'])
    })

    after(async () => {
      running.child.kill('SIGKILL')
      await exitOf(running.child)
      folders.remove()
    })

    for (const [what, args, input, stdout] of [
      ['text', ['greeter', 'you'], '', 'hello you\n'],
      ['JSON', ['greeter', '{"a":[1]}'], '', '{"a":[1]}\n'],
      ['standard input', ['greeter', '-'], 'piped', 'hello piped\n'],
      ['a method by name', ['greeter', 'you', '--method', 'shout'], '', 'HELLO you\n'],
      ['text, printed as JSON', ['greeter', 'you', '--json'], '', '"hello you"\n'],
      ['a stream, a line for each part', ['count', '3'], '', '{"i":1}\n{"i":2}\n{"i":3}\n'],
    ] as const) {
      it(`calls with ${what}`, async () => {
        expect(await runCli(['call', ...args, '--name', 'app'], input)).to.deep.equal({ code: 0, stdout, stderr: '' })
      })
    }

    it('calls by route where there is an address and no socket', async () => {
      expect(await runCli(['call', 'greeter', 'you', '--url', running.url])).to.deep.equal({ code: 0, stdout: 'hello you', stderr: '' })
    })

    it('gives the error of a call by route its code', async () => {
      const { code, stderr } = await runCli(['call', 'greeter', 'you', '--url', running.url, '--method', 'nope'])
      expect([code, stderr.split(':')[0]]).to.deep.equal([1, 'ERR_METHOD_NOT_FOUND'])
    })

    for (const [what, args, wanted] of [
      ['an unknown endpoint', ['call', 'nope', '--name', 'app'], 'ERR_ENDPOINT_NOT_FOUND'],
      ['a call that throws', ['call', 'throws', '--name', 'app'], 'ERR_TASK'],
      ['an instance that is not there', ['status', '--name', 'nobody'], 'ERR_NO_INSTANCE'],
      ['a name that is taken', ['run', fixture('cli-app.ts'), '--port', '0', '--name', 'app'], 'ERR_INSTANCE_EXISTS'],
      ['an address where nobody listens', ['status', '--url', 'http://127.0.0.1:1'], 'ERR_PEER_UNREACHABLE'],
      ['a file without an app', ['deploy', fixture('adder.ts'), '--name', 'app'], 'ERR_INVALID_ARG_TYPE'],
      ['a ticket of an instance that takes no peers', ['ticket', '--name', 'app'], 'ERR_UNSUPPORTED'],
    ] as const) {
      it(`says ${what} in one line and ends with 1`, async () => {
        const { code, stdout, stderr } = await runCli(args)
        expect([code, stdout, stderr.split(':')[0], stderr.split('\n').length]).to.deep.equal([1, '', wanted, 2])
      })
    }

    it('shows the status as JSON', async () => {
      const { code, stdout } = await runCli(['status', '--name', 'app', '--json'])
      const status = JSON.parse(stdout) as { endpoints: Record<string, { route: string }>; backends: Record<string, { ready: number }> }
      expect([code, status.endpoints.greeter?.route, status.backends.greeter?.ready]).to.deep.equal([0, '/greeter', 1])
    })

    it('shows the status of an address', async () => {
      const { stdout } = await runCli(['status', '--url', running.url, '--json'])
      expect(JSON.parse(stdout)).to.have.keys('nodes', 'endpoints', 'backends')
    })

    it('shows the status to people as tables', async () => {
      const { stdout } = await runCli(['status', '--name', 'app'])
      expect(stdout).to.match(/^app {2}http:\S+\n\n {2}backend +ready +ongoing +queued/)
      expect(stdout).to.match(/greeter +\/greeter +GET POST +greeter 100 %/)
    })

    it('shows the status again and again with --watch, until a signal', async () => {
      const child = spawnCli(['status', '--watch', '--json', '--name', 'app'])
      let lines = 0
      for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
        expect(JSON.parse(line)).to.have.keys('nodes', 'endpoints', 'backends')
        if (++lines === 2) child.kill('SIGINT')
      }
      expect([await exitOf(child), lines]).to.deep.equal([0, 2])
    })

    it('deploys an app to it', async () => {
      const deployed = await runCli(['deploy', fixture('cli-defined-app.ts'), '--name', 'app'])
      const called = await runCli(['call', 'adder', '5', '--name', 'app'])
      expect([deployed.code, called.stdout]).to.deep.equal([0, '15\n'])
    })
  })

  for (const [what, args] of [
    ['no command it knows', ['bogus']],
    ['no argument it needs', ['run']],
    ['an option it does not know', ['status', '--colour']],
    ['a port that is none', ['start', '--port', 'many']],
  ] as const) {
    it(`ends with 2 for ${what}`, async () => {
      const { code, stderr } = await runCli(args)
      expect([code, stderr.startsWith('usage: ')]).to.deep.equal([2, true])
    })
  }

  it('ends with 0 for help', async () => {
    expect(await runCli(['--help'])).to.deep.include({ code: 0, stderr: '' })
  })

  describe('run', () => {
    let folders: InstanceFolders
    let child: ChildProcess | undefined

    beforeEach(() => {
      folders = useInstanceFolders()
    })

    afterEach(async () => {
      child?.kill('SIGKILL')
      if (child !== undefined) await exitOf(child)
      folders.remove()
    })

    /** A call that is under way until it is released; its answer is `cut` when the connection ends first. */
    async function hold(url: string): Promise<{ answer: Promise<string>; release(): void }> {
      const file = join(folders.folder, 'held')
      const answer = fetch(`${url}/held?file=${encodeURIComponent(file)}`).then(
        (response) => response.text(),
        () => 'cut',
      )
      while (!existsSync(file)) await delay(5)
      return { answer, release: () => rmSync(file) }
    }

    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      it(`finishes what is under way at ${signal} and ends with 0`, async () => {
        const { child: run, url } = await started(['run', fixture('cli-app.ts')])
        child = run
        const { answer, release } = await hold(url)
        run.kill(signal)
        await whenDraining(url)
        release()
        expect([await answer, await exitOf(run)]).to.deep.equal(['finished', 0])
      })
    }

    it('ends at once with 1 at the second signal', async () => {
      const { child: run, url } = await started(['run', fixture('cli-app.ts')])
      child = run
      const { answer } = await hold(url)
      run.kill('SIGTERM')
      await whenDraining(url)
      run.kill('SIGTERM')
      expect([await exitOf(run), await answer]).to.deep.equal([1, 'cut'])
    })

    it('ends with 0 when it is shut down from elsewhere', async () => {
      const { child: run } = await started(['run', fixture('cli-app.ts'), '--name', 'stopped'])
      child = run
      const { code } = await runCli(['shutdown', '--name', 'stopped'])
      expect([code, await exitOf(run)]).to.deep.equal([0, 0])
    })

    it('takes an app that defineApp made', async () => {
      const { child: run, url } = await started(['run', fixture('cli-defined-app.ts')])
      child = run
      const response = await fetch(`${url}/adder`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '5' })
      expect(await response.text()).to.equal('15')
    })
  })

  describe('start', () => {
    let folders: InstanceFolders

    beforeEach(() => {
      folders = useInstanceFolders()
    })

    afterEach(async () => {
      await runCli(['shutdown', '--name', 'background'])
      folders.remove()
    })

    it('leaves an instance behind, to which an app is deployed', async () => {
      const start = await runCli(['start', '--port', '0', '--name', 'background', '--json'])
      await runCli(['deploy', fixture('cli-defined-app.ts'), '--name', 'background'])
      const { url } = JSON.parse(start.stdout) as { url: string }
      const response = await fetch(`${url}/adder`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '1' })
      expect([start.code, await response.text()]).to.deep.equal([0, '11'])
    })

    it('takes peers with --mesh: a ticket brings a process that answers', async () => {
      await runCli(['start', '--port', '0', '--name', 'background', '--mesh'])
      await runCli(['deploy', fixture('cli-mesh-app.ts'), '--name', 'background'])
      const { stdout } = await runCli(['ticket', '--name', 'background'])
      process.env.SHOAL_TICKET = stdout
      const joiner = spawnCli(['join', '--json'])
      delete process.env.SHOAL_TICKET
      try {
        await once(joiner.stdout as NodeJS.ReadableStream, 'data')
        const client = await connect({ name: 'background' })
        // An idle replica beside the gateway comes first; many calls at once reach them all.
        const pids = async () => Promise.all(Array.from({ length: 40 }, () => client.getHandle('pid').remote()))
        while (!(await pids()).includes(joiner.pid));
        await client.close()
      } finally {
        joiner.kill('SIGKILL')
        await exitOf(joiner)
      }
    })
  })
})
