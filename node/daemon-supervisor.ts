import { type ChildProcess, spawn } from 'node:child_process'
import { RestartPolicy } from '../core/controller/index.ts'
import { type DaemonOptions, type DaemonReport, PROGRAM } from './daemon-program.ts'

/** Runs this process as the supervisor of a detached instance. Options come from the process that started it. */
export function supervise(): void {
  if (process.send === undefined) {
    process.stderr.write('usage: supervise is for serve.start({ detached: true }) alone\n')
    process.exit(2)
  }
  process.once('message', (options: DaemonOptions) => new DaemonSupervisor(options).start())
}

/**
 * Keeps one instance running: when its process dies it is started again, at once for the first three times in a minute, then with growing pauses, and
 * on the same port. It ends when the instance was shut down, or did not start the first time.
 */
class DaemonSupervisor {
  readonly #restarts = new RestartPolicy()
  #options: DaemonOptions
  #child: ChildProcess | undefined
  #pause: NodeJS.Timeout | undefined
  #wasReady = false
  #isStopping = false

  constructor(options: DaemonOptions) {
    this.#options = options
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#stop())
  }

  start(): void {
    const child = spawn(process.execPath, [PROGRAM, 'instance', this.#options.name], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child = child
    child.on('message', (report: DaemonReport) => this.#onReport(report))
    child.once('error', (error) => {
      this.#log('instance.not-started', { error: error.message })
      if (child.pid === undefined) this.#onExit(1, null)
    })
    child.once('exit', (code, signal) => this.#onExit(code, signal))
    child.send(this.#options)
  }

  #onReport(report: DaemonReport): void {
    if (report.kind === 'ready') {
      // Whoever was told the address finds it again after a restart.
      const { http } = this.#options
      if (http !== false && report.port !== undefined) this.#options = { ...this.#options, http: { ...http, port: report.port } }
      this.#log('instance.ready', { port: report.port, pid: this.#child?.pid })
    }
    if (this.#wasReady) return
    this.#wasReady = report.kind === 'ready'
    process.send?.(report, () => {
      if (process.connected) process.disconnect()
    })
  }

  #onExit(code: number | null, signal: string | null): void {
    this.#child = undefined
    if (code === 0 || this.#isStopping || !this.#wasReady) {
      process.exitCode = code ?? 1
      if (process.connected) process.disconnect()
      return
    }
    const delayMs = this.#restarts.noteDeath(performance.now())
    this.#log('instance.died', { code, signal, delayMs })
    this.#pause = setTimeout(() => this.start(), delayMs)
  }

  #stop(): void {
    this.#isStopping = true
    clearTimeout(this.#pause)
    this.#child?.kill('SIGTERM')
  }

  #log(event: string, fields: object): void {
    process.stdout.write(
      `${JSON.stringify({ time: Date.now(), name: 'supervisor', instance: this.#options.name, ...fields, msg: event })}\n`,
    )
  }
}
