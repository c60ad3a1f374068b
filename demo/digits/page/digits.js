/**
 * The page of the demo: takes a drawing, makes 8x8 pixels of it the way the training images were made, asks `/digits`, shows the answer.
 * Nothing here runs a model. A drawing is a list of strokes, a stroke a list of points `{ x, y }` in any one unit.
 */

/** The bitmap the pixels are counted on: 32x32 dots, in squares of 4x4. */
const BITMAP = 32
const SQUARE = 4
/** Dots that are ink in a training image, near enough the same for every digit: whoever made the images thickened thin strokes. */
const INK_DOTS = 330
/** Half the width of a stroke, in dots: between a hair and a broad felt pen. */
const PEN_RADIUS = { least: 1.3, most: 4.2 }
/** Training digits fill the height and, but for the widest, some 18 to 22 of the 32 columns; only a narrow one, a 1, keeps its own proportions. */
const FULL_WIDTH = 18
const NARROW = { below: 0.22, wideFrom: 0.5 }

/** Makes 64 values 0..16, row after row, of a drawing; all zero when there is none. */
export function toPixels(strokes) {
  const drawn = strokes.filter((stroke) => stroke.length > 0)
  if (drawn.length === 0) return new Array(64).fill(0)
  // The pen whose ink comes nearest to that of the training images, found by halving: more radius, more ink.
  let { least, most } = PEN_RADIUS
  for (let step = 0; step < 7; step += 1) {
    const radius = (least + most) / 2
    if (countInk(toBitmap(drawn, radius)) < INK_DOTS) least = radius
    else most = radius
  }
  const bitmap = toBitmap(drawn, (least + most) / 2)
  return Array.from({ length: 64 }, (_, index) => {
    const top = Math.floor(index / 8) * SQUARE
    const left = (index % 8) * SQUARE
    let dots = 0
    for (let y = top; y < top + SQUARE; y += 1) for (let x = left; x < left + SQUARE; x += 1) dots += bitmap[y * BITMAP + x]
    return dots
  })
}

/** Draws the strokes, moved and stretched so that they fill the bitmap as training digits do; 1 is ink. */
function toBitmap(strokes, radius) {
  const points = strokes.flat()
  const left = Math.min(...points.map((point) => point.x))
  const top = Math.min(...points.map((point) => point.y))
  const width = Math.max(...points.map((point) => point.x)) - left
  const height = Math.max(...points.map((point) => point.y)) - top
  const room = BITMAP - 2 * radius
  const size = Math.max(width, height)
  const proportion = size === 0 ? 0 : width / Math.max(height, size / 4)
  const wide = clamp((proportion - NARROW.below) / (NARROW.wideFrom - NARROW.below), 0, 1)
  const targetWidth = wide * (FULL_WIDTH - 2 * radius) + (1 - wide) * Math.min(proportion * room, FULL_WIDTH - 2 * radius)
  const scaleX = width === 0 ? 0 : targetWidth / width
  // A drawing far wider than high is no digit; it is not pulled to full height.
  const scaleY = height === 0 ? 0 : Math.min(room / height, (4 * room) / size)
  const toDot = (point) => ({
    x: BITMAP / 2 + (point.x - left - width / 2) * scaleX,
    y: BITMAP / 2 + (point.y - top - height / 2) * scaleY,
  })
  const bitmap = new Uint8Array(BITMAP * BITMAP)
  for (const stroke of strokes) {
    const dots = stroke.map(toDot)
    for (let index = 0; index < dots.length; index += 1) inkLine(bitmap, dots[Math.max(index - 1, 0)], dots[index], radius)
  }
  return bitmap
}

/** Inks every dot whose centre lies within `radius` of the line from `a` to `b`. */
function inkLine(bitmap, a, b, radius) {
  const firstX = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius))
  const lastX = Math.min(BITMAP - 1, Math.ceil(Math.max(a.x, b.x) + radius))
  const firstY = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius))
  const lastY = Math.min(BITMAP - 1, Math.ceil(Math.max(a.y, b.y) + radius))
  const lengthSquared = (b.x - a.x) ** 2 + (b.y - a.y) ** 2
  for (let row = firstY; row <= lastY; row += 1) {
    for (let column = firstX; column <= lastX; column += 1) {
      const x = column + 0.5 - a.x
      const y = row + 0.5 - a.y
      const along = lengthSquared === 0 ? 0 : clamp((x * (b.x - a.x) + y * (b.y - a.y)) / lengthSquared, 0, 1)
      const distanceSquared = (x - along * (b.x - a.x)) ** 2 + (y - along * (b.y - a.y)) ** 2
      if (distanceSquared <= radius * radius) bitmap[row * BITMAP + column] = 1
    }
  }
}

const countInk = (bitmap) => bitmap.reduce((sum, dot) => sum + dot, 0)
const clamp = (value, least, most) => Math.min(most, Math.max(least, value))

/** The page itself; `document` is missing where only `toPixels` is wanted. */
if (typeof document !== 'undefined') startPage(document)

function startPage(document) {
  const element = (id) => document.getElementById(id)
  const paper = element('paper')
  const canvas = element('canvas')
  const answerCard = document.querySelector('.answer')
  const say = (line, text, failed = false) => {
    line.textContent = text
    line.toggleAttribute('data-failed', failed)
  }

  /** Answers since the page was opened, by model version. */
  const tally = { small: 0, large: 0 }
  const count = (version) => {
    tally[version] = (tally[version] ?? 0) + 1
    const all = tally.small + tally.large
    for (const name of ['small', 'large']) {
      const share = all === 0 ? 0 : tally[name] / all
      element(`count-${name}`).textContent = `${tally[name]} (${percent(share, 1)})`
      element(`share-${name}`).style.width = `${share * 100}%`
    }
  }

  // ---- asking

  const bars = Array.from({ length: 10 }, (_, digit) => {
    const row = document.createElement('li')
    row.innerHTML = `<span>${digit}</span><span class="track" aria-hidden="true"><span class="fill"></span></span><span class="percent">–</span>`
    row.querySelector('.fill').style.display = 'block'
    element('bars').append(row)
    return row
  })

  /** Counts up with every question: an answer that comes after a newer question, or after Clear, is not shown. */
  let asked = 0
  const show = async (pixels, label) => {
    asked += 1
    const mine = asked
    paintPixels(element('pixels'), pixels)
    try {
      const { answer, tookMs } = await ask(pixels)
      count(answer.version)
      if (mine === asked) showAnswer(answer, tookMs, label)
    } catch (error) {
      if (mine === asked) showAnswer(undefined, 0, undefined, error.message)
    }
  }
  const showAnswer = (answer, tookMs, label, problem = '') => {
    answerCard.dataset.state = answer === undefined ? 'empty' : 'shown'
    answerCard.dataset.version = answer?.version ?? ''
    element('digit').textContent = answer?.digit ?? '–'
    element('version').textContent = answer?.version ?? '–'
    element('latency').textContent = answer === undefined ? '–' : milliseconds(tookMs)
    element('batch').textContent = answer?.batchSize ?? '–'
    // Told where the replicas are in the page itself.
    if (answer?.replica !== undefined) element('replica').parentElement.hidden = false
    element('replica').textContent = answer?.replica ?? '–'
    for (const [digit, row] of bars.entries()) {
      const share = answer?.probabilities[digit]
      row.classList.toggle('best', digit === answer?.digit)
      row.style.setProperty('--share', share ?? 0)
      row.querySelector('.percent').textContent = share === undefined ? '–' : percent(share, 1)
    }
    if (answer === undefined) return say(element('said'), problem === '' ? 'Nothing asked yet.' : problem, problem !== '')
    const share = answer.probabilities[answer.digit]
    const sure = share > 0.99 ? 'more than 99 %' : percent(share, 0)
    const truth = label === undefined ? '' : label === answer.digit ? ' The label agrees.' : ` The label says ${label}.`
    say(element('said'), `Reads ${answer.digit === 8 ? 'an' : 'a'} ${answer.digit}, ${sure} sure.${truth}`)
  }

  // ---- drawing

  /** What is on the paper: strokes of points in 0..1, or 64 pixels of a test image. */
  let strokes = []
  let image
  /** The keyboard's pen, in 0..1; hidden until a key moves it. */
  const pen = { x: 0.5, y: 0.2, down: false, shown: false }

  const paint = () => {
    const size = canvas.clientWidth
    const scale = window.devicePixelRatio || 1
    canvas.width = Math.round(size * scale)
    canvas.height = Math.round(size * scale)
    const context = canvas.getContext('2d')
    context.scale(canvas.width, canvas.height)
    const style = getComputedStyle(canvas)
    const color = (name) => style.getPropertyValue(name).trim()
    element('hint').hidden = strokes.length > 0 || image !== undefined || pen.shown
    context.strokeStyle = color('--grid')
    context.lineWidth = 1 / size
    for (let line = 1; line < 8; line += 1) {
      context.strokeRect(line / 8, -1, 0, 3)
      context.strokeRect(-1, line / 8, 3, 0)
    }
    context.strokeStyle = color('--ink')
    context.fillStyle = color('--ink')
    if (image !== undefined) {
      for (const [index, value] of image.entries()) {
        context.globalAlpha = value / 16
        context.fillRect((index % 8) / 8, Math.floor(index / 8) / 8, 1 / 8, 1 / 8)
      }
      context.globalAlpha = 1
    }
    context.lineWidth = 0.065
    context.lineCap = 'round'
    context.lineJoin = 'round'
    for (const stroke of strokes) traceStroke(context, stroke)
    if (!pen.shown) return
    context.lineWidth = 3 / size
    context.strokeStyle = context.fillStyle = color('--large')
    context.beginPath()
    context.arc(pen.x, pen.y, 0.03, 0, 2 * Math.PI)
    if (pen.down) context.fill()
    else context.stroke()
  }

  const clear = () => {
    asked += 1
    strokes = []
    image = undefined
    pen.down = false
    paintPixels(element('pixels'), new Array(64).fill(0))
    showAnswer(undefined)
    paint()
  }
  const askDrawing = () => {
    if (strokes.length > 0) show(toPixels(strokes))
  }
  const startStroke = (point) => {
    if (image !== undefined) clear()
    strokes.push([point])
  }

  const toPoint = (event) => {
    const box = canvas.getBoundingClientRect()
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height }
  }
  /** The pointer that draws; a second finger or a palm meanwhile does not. */
  let pointer
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || pointer !== undefined) return
    pointer = event.pointerId
    canvas.setPointerCapture(pointer)
    pen.shown = false
    pen.down = false
    startStroke(toPoint(event))
    paint()
  })
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerId !== pointer) return
    const between = event.getCoalescedEvents?.() ?? []
    strokes.at(-1)?.push(...(between.length > 0 ? between : [event]).map(toPoint))
    paint()
  })
  for (const end of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId !== pointer) return
      pointer = undefined
      askDrawing()
    })
  }

  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
  const PEN_STEP = 1 / 16
  paper.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const move = MOVES[event.key]
    if (move !== undefined) {
      pen.shown = true
      pen.x = clamp(pen.x + move[0] * PEN_STEP, 0, 1)
      pen.y = clamp(pen.y + move[1] * PEN_STEP, 0, 1)
      if (pen.down) strokes.at(-1)?.push({ x: pen.x, y: pen.y })
    } else if (event.key === ' ') {
      pen.shown = true
      pen.down = !pen.down
      if (pen.down) {
        // Clearing a test image lifts the pen, so it is lowered after the stroke has begun.
        startStroke({ x: pen.x, y: pen.y })
        pen.down = true
      } else askDrawing()
      if (pen.down) say(element('said'), 'Pen down.')
    } else if (event.key === 'Enter') {
      pen.down = false
      askDrawing()
    } else if (event.key === 'Delete' || event.key === 'Backspace' || event.key === 'Escape') clear()
    else return
    event.preventDefault()
    paint()
  })
  paper.addEventListener('blur', () => {
    pen.shown = false
    pen.down = false
    paint()
  })
  element('clear').addEventListener('click', clear)
  new ResizeObserver(paint).observe(canvas)
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    paint()
    paintPixels(element('pixels'), image ?? toPixels(strokes))
  })

  // ---- test images

  let loaded
  const testImages = () => {
    loaded ??= loadTestImages().catch((error) => {
      // The next press tries again.
      loaded = undefined
      throw error
    })
    return loaded
  }
  element('show-one').addEventListener('click', async () => {
    try {
      const images = await testImages()
      const one = images[Math.floor(Math.random() * images.length)]
      clear()
      image = one.pixels
      paint()
      await show(one.pixels, one.label)
    } catch (error) {
      say(element('said'), error.message, true)
    }
  })

  element('send-many').addEventListener('click', async () => {
    const button = element('send-many')
    const progress = element('progress')
    button.disabled = true
    progress.hidden = false
    progress.value = 0
    say(element('load-said'), 'Sending.')
    const startedMs = performance.now()
    try {
      const sent = shuffled(await testImages()).slice(0, progress.max)
      const results = await askAll(sent, (result) => {
        progress.value += 1
        if (result.answer !== undefined) count(result.answer.version)
      })
      showResults(results, performance.now() - startedMs)
    } catch (error) {
      say(element('load-said'), error.message, true)
    }
    progress.hidden = true
    button.disabled = false
  })
  const showResults = (results, wholeMs) => {
    const answered = results.filter((result) => result.answer !== undefined)
    const failed = results.length - answered.length
    const rate = Math.round(results.length / (wholeMs / 1_000))
    const trouble = failed === 0 ? '' : ` ${failed} failed: ${results.find((result) => result.problem !== undefined).problem}`
    say(element('load-said'), `${answered.length} answers in ${milliseconds(wholeMs)}, ${rate} a second.${trouble}`, failed > 0)
    element('results').hidden = answered.length === 0
    if (answered.length === 0) return
    const took = answered.map((result) => result.tookMs).sort((a, b) => a - b)
    const small = answered.filter((result) => result.answer.version === 'small').length
    element('accuracy').textContent = percent(answered.filter((result) => result.answer.digit === result.label).length / answered.length, 1)
    element('p50').textContent = milliseconds(took[Math.ceil(took.length * 0.5) - 1])
    element('p99').textContent = milliseconds(took[Math.ceil(took.length * 0.99) - 1])
    element('load-split').textContent = `${small} : ${answered.length - small}`
    showBatches(
      element('batches'),
      answered.map((result) => result.answer.batchSize),
    )
  }

  clear()
}

/** Asks for one image; rejects with a sentence for the reader. */
async function ask(pixels) {
  const startedMs = performance.now()
  const response = await send('/digits', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ pixels }),
  })
  const answer = await response.json()
  return { answer, tookMs: performance.now() - startedMs }
}

/** More would only wait in the browser: it keeps six connections to a host, and the waiting would count as latency. */
const LANES = 6

/** Asks for all images, `LANES` at a time, in order; one that fails gives a `problem` in its place. */
async function askAll(images, onResult) {
  const results = []
  let next = 0
  const lane = async () => {
    while (next < images.length) {
      const index = next
      next += 1
      const { pixels, label } = images[index]
      results[index] = await ask(pixels).then(
        (answered) => ({ ...answered, label }),
        (error) => ({ problem: error.message, label }),
      )
      onResult(results[index])
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return results
}

/** The held-out images: `{ pixels, label }` each, one byte per pixel in the file. */
async function loadTestImages() {
  const file = await (await send('/test-images')).json()
  const bytes = Uint8Array.from(atob(file.pixels), (character) => character.charCodeAt(0))
  return file.labels.map((label, index) => ({ label, pixels: [...bytes.subarray(index * 64, index * 64 + 64)] }))
}

/** Fetches; a refusal becomes an error that names the status and, where the answer is a problem document, its code. */
async function send(url, options) {
  const response = await fetch(url, options).catch((cause) => {
    throw new Error('The server does not answer. Is it still running?', { cause })
  })
  if (response.ok) return response
  const problem = await response.json().catch(() => ({}))
  throw new Error(`${response.status} ${problem.code ?? response.statusText}: ${problem.detail ?? problem.title ?? 'no reason given'}`)
}

/** Draws a stroke as a smooth line: curves through the middles between its points. */
function traceStroke(context, stroke) {
  context.beginPath()
  context.moveTo(stroke[0].x, stroke[0].y)
  for (let index = 1; index < stroke.length - 1; index += 1) {
    const point = stroke[index]
    const after = stroke[index + 1]
    context.quadraticCurveTo(point.x, point.y, (point.x + after.x) / 2, (point.y + after.y) / 2)
  }
  const last = stroke.at(-1)
  context.lineTo(last.x, last.y)
  context.stroke()
}

/** Shows 64 values 0..16 on a canvas of 8x8, in the ink of the page. */
function paintPixels(canvas, pixels) {
  const context = canvas.getContext('2d')
  context.clearRect(0, 0, 8, 8)
  context.fillStyle = getComputedStyle(canvas).getPropertyValue('--ink').trim()
  for (const [index, value] of pixels.entries()) {
    context.globalAlpha = value / 16
    context.fillRect(index % 8, Math.floor(index / 8), 1, 1)
  }
}

/** Shows how many answers came from a batch of each size: a column per size, in order. */
function showBatches(list, sizes) {
  const counts = new Map()
  for (const size of sizes) counts.set(size, (counts.get(size) ?? 0) + 1)
  const most = Math.max(...counts.values())
  list.replaceChildren(
    ...[...counts]
      .sort(([a], [b]) => a - b)
      .map(([size, answers]) => {
        const column = list.ownerDocument.createElement('li')
        column.style.setProperty('--share', answers / most)
        column.innerHTML = `<span aria-hidden="true">${answers}</span><span class="column"></span><span class="size" aria-hidden="true">${size}</span>`
        column.setAttribute('aria-label', `${answers} answers in batches of ${size}`)
        return column
      }),
  )
}

/** A copy in random order (Fisher and Yates). */
function shuffled(list) {
  const copy = [...list]
  for (let last = copy.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1))
    const held = copy[last]
    copy[last] = copy[other]
    copy[other] = held
  }
  return copy
}

const percent = (share, digits) => `${(share * 100).toFixed(digits)} %`
const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
