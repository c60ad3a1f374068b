import type { InferenceSession } from 'onnxruntime-web/wasm'
// In a program of one's own: import { ServeError } from 'shoal/replica'
import { ServeError } from '../../core/base/index.ts'

/** A model file: what `serve.asset(...)` becomes in a replica. */
interface Asset {
  readonly url: string
  bytes(): Promise<Uint8Array>
}

/** What is needed of a request; a Fetch `Request` has it, and so has a call by handle. */
interface JsonRequest {
  json(): Promise<unknown>
}

/** What one image is answered with. */
export interface DigitAnswer {
  /** The most probable digit, 0..9; on a tie the lower one. */
  readonly digit: number
  /** Ten proportions, one per digit, rounded to 4 decimals. */
  readonly probabilities: readonly number[]
  /** The name given to the constructor: which model answered. */
  readonly version: string
  /** How many requests were answered in one go. */
  readonly batchSize: number
}

const PIXELS = 64
const DIGITS = 10
/** The data counts inked dots in 4x4 squares: 0..16. */
const MAX_PIXEL = 16

/** Reads handwritten digits of 8x8 pixels, `{ pixels: number[64] }` with values 0..16; a batch of requests runs as one tensor. */
export class Digits {
  static batch = ['call']

  #model: Asset
  #version: string
  #runtime: string | Asset | undefined
  #runner: Runner | undefined

  /**
   * @param version what the answers name as their source
   * @param runtime where onnxruntime-web's ES module is, for a worker that can resolve no package names; its .wasm lies beside it. Or that .wasm, for a
   * replica on a machine where the package is not installed
   */
  constructor(model: Asset, version: string, runtime?: string | Asset) {
    this.#model = model
    this.#version = version
    this.#runtime = runtime
  }

  /** Loads the model and runs it once, so that the first request finds everything compiled. */
  async init(): Promise<void> {
    this.#runner = await openModel(await this.#model.bytes(), this.#runtime)
    await this.#runner(new Float32Array(PIXELS), 1)
  }

  /** Answers in the order of the requests. One that cannot be read gets an Error in its place; the others are answered all the same. */
  async call(requests: readonly JsonRequest[]): Promise<(DigitAnswer | Error)[]> {
    const run = this.#runner
    if (run === undefined) throw new TypeError('the model is not loaded: init() has to be awaited before call()')
    const images = await Promise.all(requests.map((request) => readPixels(request)))
    const readable = images.filter((image): image is readonly number[] => !(image instanceof Error))
    const input = Float32Array.from(readable.flat(), (value) => value / MAX_PIXEL)
    const output = readable.length === 0 ? input : await run(input, readable.length)
    let row = 0
    return images.map((image) => {
      if (image instanceof Error) return image
      const probabilities = output.subarray(row * DIGITS, (row + 1) * DIGITS)
      row += 1
      return {
        digit: probabilities.indexOf(Math.max(...probabilities)),
        probabilities: Array.from(probabilities, (value) => Math.round(value * 10_000) / 10_000),
        version: this.#version,
        batchSize: requests.length,
      }
    })
  }
}

async function readPixels(request: JsonRequest): Promise<readonly number[] | Error> {
  let body: unknown
  try {
    body = await request.json()
  } catch (cause) {
    return badRequest('the request is no JSON: { "pixels": [...] } with 64 numbers is wanted', cause)
  }
  const pixels = typeof body === 'object' && body !== null && 'pixels' in body ? body.pixels : undefined
  if (!Array.isArray(pixels)) return badRequest('pixels is missing: { "pixels": [...] } with 64 numbers is wanted')
  if (pixels.length !== PIXELS) return badRequest(`pixels holds ${pixels.length} values, ${PIXELS} are wanted`)
  const bad = pixels.findIndex((value) => typeof value !== 'number' || !(value >= 0 && value <= MAX_PIXEL))
  if (bad >= 0) return badRequest(`pixels[${bad}] is no number from 0 to ${MAX_PIXEL}`)
  return pixels
}

/** What runs the models here: the graphics processor where a page has one to give, else WebAssembly. */
export async function bestProvider(): Promise<'webgpu' | 'wasm'> {
  const { gpu } = globalThis.navigator as { readonly gpu?: { requestAdapter(): Promise<object | null> } }
  const adapter = await gpu?.requestAdapter().catch(() => null)
  return adapter ? 'webgpu' : 'wasm'
}

/** Runs `rows` images, 64 values each, and gives ten probabilities for each. */
type Runner = (pixels: Float32Array, rows: number) => Promise<Float32Array>

/**
 * The one place that knows where it runs: by name where packages resolve (Node, or a bundler), else by URL.
 * One wasm thread: the replicas are the threads. onnxruntime-web finds its .wasm beside itself, on disk or over HTTP, unless it is given.
 */
async function openModel(model: Uint8Array, runtime: string | Asset | undefined): Promise<Runner> {
  const runtimeUrl = typeof runtime === 'string' ? runtime : undefined
  const isOnGpu = runtimeUrl === undefined && (await bestProvider()) === 'webgpu'
  const onnx: typeof import('onnxruntime-web/wasm') = await (runtimeUrl !== undefined
    ? import(/* @vite-ignore */ runtimeUrl)
    : isOnGpu
      ? import('onnxruntime-web/webgpu')
      : import('onnxruntime-web/wasm'))
  onnx.env.wasm.numThreads = 1
  if (typeof runtime === 'object') onnx.env.wasm.wasmBinary = await runtime.bytes()
  const session: InferenceSession = await onnx.InferenceSession.create(model, {
    executionProviders: isOnGpu ? ['webgpu', 'wasm'] : ['wasm'],
  })
  return async (pixels, rows) => {
    const { probabilities } = await session.run({ pixels: new onnx.Tensor('float32', pixels, [rows, PIXELS]) })
    if (probabilities?.type !== 'float32') throw new TypeError('the model has no float32 output named probabilities')
    return probabilities.data as Float32Array
  }
}

/** The sender's fault, so the gateway answers 400. */
const badRequest = (message: string, cause?: unknown): ServeError =>
  new ServeError('ERR_BAD_REQUEST', message, { cause, outcome: 'completed' })
