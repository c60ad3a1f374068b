/** Loaded with the first backend that has `initArgs`. */
export { encodeInitArgs } from '../replica/index.ts'
