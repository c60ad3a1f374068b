/** ECMAScript's own globals, of Node 24 and of browsers of its time. */
const ECMASCRIPT = `
  AggregateError Array ArrayBuffer AsyncDisposableStack Atomics BigInt BigInt64Array BigUint64Array Boolean DataView Date
  DisposableStack Error EvalError FinalizationRegistry Float16Array Float32Array Float64Array Function Infinity Int16Array
  Int32Array Int8Array Intl Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect
  RegExp Set SharedArrayBuffer String SuppressedError Symbol SyntaxError TypeError URIError Uint16Array Uint32Array
  Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet decodeURI decodeURIComponent encodeURI encodeURIComponent escape
  eval globalThis isFinite isNaN parseFloat parseInt undefined unescape
`

/** Web standards that both kinds of worker have. */
const WEB_STANDARDS = `
  AbortController AbortSignal Blob BroadcastChannel ByteLengthQueuingStrategy CloseEvent CompressionStream
  CountQueuingStrategy Crypto CryptoKey CustomEvent DOMException DecompressionStream Event EventTarget File FormData
  Headers MessageChannel MessageEvent MessagePort Performance PerformanceEntry PerformanceMark PerformanceMeasure
  PerformanceObserver PerformanceObserverEntryList PerformanceResourceTiming ReadableByteStreamController ReadableStream
  ReadableStreamBYOBReader ReadableStreamBYOBRequest ReadableStreamDefaultController ReadableStreamDefaultReader Request
  Response SubtleCrypto TextDecoder TextDecoderStream TextEncoder TextEncoderStream TransformStream
  TransformStreamDefaultController URL URLPattern URLSearchParams WebAssembly WebSocket WritableStream
  WritableStreamDefaultController WritableStreamDefaultWriter atob btoa clearInterval clearTimeout console crypto fetch
  navigator performance queueMicrotask setInterval setTimeout structuredClone
`

/** Node's own. */
const NODE_ONLY = 'Buffer Navigator clearImmediate global process setImmediate'

/**
 * Of dedicated Web Workers alone. Left out on purpose are `name`, `origin`, `close`, `fonts` and the like: they are more often a captured
 * variable than the global, which is still there as `self.name`.
 */
const WEB_WORKER_ONLY = `
  AudioData AudioDecoder AudioEncoder Cache CacheStorage CanvasGradient CanvasPattern DOMMatrix DOMMatrixReadOnly DOMPoint
  DOMPointReadOnly DOMQuad DOMRect DOMRectReadOnly DedicatedWorkerGlobalScope EncodedAudioChunk EncodedVideoChunk
  ErrorEvent EventSource FileList FileReader FileReaderSync FileSystemDirectoryHandle FileSystemFileHandle
  FileSystemHandle FileSystemSyncAccessHandle FileSystemWritableFileStream FontFace GPU GPUAdapter GPUBufferUsage
  GPUDevice GPUMapMode GPUShaderStage GPUTextureUsage IDBCursor IDBDatabase IDBFactory IDBIndex IDBKeyRange IDBObjectStore
  IDBRequest IDBTransaction ImageBitmap ImageBitmapRenderingContext ImageData ImageDecoder Lock LockManager Notification
  OffscreenCanvas OffscreenCanvasRenderingContext2D Path2D PermissionStatus Permissions ProgressEvent
  PromiseRejectionEvent ServiceWorkerRegistration StorageManager TextMetrics VideoColorSpace VideoDecoder VideoEncoder
  VideoFrame WebGL2RenderingContext WebGLBuffer WebGLFramebuffer WebGLProgram WebGLRenderbuffer WebGLRenderingContext
  WebGLShader WebGLTexture WebTransport Worker WorkerGlobalScope WorkerLocation WorkerNavigator XMLHttpRequest
  XMLHttpRequestEventTarget XMLHttpRequestUpload addEventListener caches cancelAnimationFrame createImageBitmap
  crossOriginIsolated dispatchEvent importScripts indexedDB isSecureContext location postMessage removeEventListener
  reportError requestAnimationFrame self
`

/**
 * What stands in the global scope of a `worker_threads` worker of Node 24. An older Node has fewer: for a thread of this very process ask
 * `NODE_WORKER_GLOBALS.has(name) && name in globalThis`.
 */
export const NODE_WORKER_GLOBALS: ReadonlySet<string> = new Set([...names(ECMASCRIPT), ...names(WEB_STANDARDS), ...names(NODE_ONLY)])

/** What may be taken for granted in a dedicated Web Worker of a secure page. */
export const WEB_WORKER_GLOBALS: ReadonlySet<string> = new Set([...names(ECMASCRIPT), ...names(WEB_STANDARDS), ...names(WEB_WORKER_ONLY)])

function names(list: string): readonly string[] {
  return list.trim().split(/\s+/)
}
