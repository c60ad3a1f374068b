/** What Vite makes of a worker that is to be part of the file that names it. */
declare module '*?worker&inline' {
  const InlineWorker: new (options?: { readonly name?: string }) => Worker
  export default InlineWorker
}
