// Derives with sharp, by the settings that Darkroom was specified with. One JSON line in, one out; see worker.py.
import { writeFile } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import sharp from 'sharp'

sharp.cache(false) // a repeated derivation is to be done again
sharp.concurrency(1) // which is sharp's own default with glibc: compared is what one core does

const encoders = {
  jpg: (image, quality) => image.flatten({ background: '#ffffff' }).jpeg({ quality, mozjpeg: true }),
  png: (image) => image.png({ compressionLevel: 9 }),
  webp: (image, quality) => image.webp({ quality }),
  avif: (image, quality) => image.avif({ quality })
}

const upright = (path) => sharp(path).rotate().toColourspace('srgb')
const fitted = (image, side) => image.resize(side, side, { fit: 'cover' })

const single = (path, { side, format, quality }) =>
  encoders[format](fitted(upright(path), side), quality).toBuffer()

// sharp shares no decode between outputs, so: the largest as raw pixels, and the others from those.
async function several (path, variants) {
  const side = Math.max(...variants.map((variant) => variant.side))
  const { data, info } = await fitted(upright(path), side).raw().toBuffer({ resolveWithObject: true })
  const bodies = []
  for (const variant of variants) {
    const pixels = sharp(data, { raw: info })
    const image = variant.side === side ? pixels : fitted(pixels, variant.side)
    bodies.push(await encoders[variant.format](image, variant.quality).toBuffer())
  }
  return bodies
}

for await (const line of createInterface({ input: process.stdin })) {
  const { path, variants, save } = JSON.parse(line)
  const start = performance.now()
  const cpu = process.cpuUsage()
  const bodies = variants.length > 1 ? await several(path, variants) : []
  if (variants.length === 1) bodies.push(await single(path, variants[0]))
  const { user, system } = process.cpuUsage(cpu)
  const ms = performance.now() - start
  if (save) await writeFile(save, bodies[0])
  console.log(JSON.stringify({ ms, cpu: (user + system) / 1000, sizes: bodies.map((body) => body.length) }))
}
