/** The held-out images as they lie in data/test.json: one byte (0..16) per pixel, image after image, base64. */
export interface TestImages {
  readonly source: string
  readonly count: number
  readonly pixels: string
  /** What each image shows, 0..9. */
  readonly labels: readonly number[]
}

/** One image, 64 values 0..16 row after row, and the digit it shows. */
export interface LabelledImage {
  readonly pixels: readonly number[]
  readonly label: number
}

/** Unpacks the file; the page does the same for itself. */
export function toLabelledImages(file: TestImages): readonly LabelledImage[] {
  const bytes = Uint8Array.from(atob(file.pixels), (character) => character.charCodeAt(0))
  return file.labels.map((label, index) => ({ pixels: [...bytes.subarray(index * 64, index * 64 + 64)], label }))
}
