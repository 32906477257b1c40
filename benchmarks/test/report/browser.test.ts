import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { contentOf } from '../../src/report/chapter.ts'
import { root } from '../../src/report/outputs.ts'
import { htmlPage } from '../../src/report/pages/html.ts'
import { subjects } from '../../src/report/subjects.ts'
import { drawable } from './sample-results.ts'

const executablePath = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) =>
    (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name)),
  )
  .find((path) => existsSync(path))

const pages = {
  'the page of sample results': htmlPage(contentOf(subjects, drawable)),
  'docs/benchmarks.html': readFileSync(join(root, 'docs/benchmarks.html'), 'utf8'),
}

describe.skipIf(executablePath === undefined)('in Chromium (skipped where there is none)', () => {
  let browser: Browser

  beforeAll(async () => {
    // As root, as in containers, Chromium starts without its sandbox only; the page is our own.
    browser = await chromium.launch({
      ...(executablePath === undefined ? {} : { executablePath }),
      args: ['--no-sandbox'],
    })
  })
  afterAll(async () => {
    await browser.close()
  })

  const shown = async (
    html: string,
    width: number,
    colorScheme: 'dark' | 'light',
  ): Promise<Awaited<ReturnType<typeof look>>> => {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme })
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => complaints.push(`asked for ${request.url()}`))
    await page.setContent(html)
    const seen = await look(page)
    await page.close()
    return { ...seen, complaints }
  }

  describe.each(Object.entries(pages))('%s', (_, html) => {
    test.each([
      [400, 'light'],
      [1_200, 'dark'],
    ] as const)(
      'at %i pixels, %s, fits, asks for nothing and complains of nothing',
      async (width, scheme) => {
        const { complaints, scrollWidth, smallestText } = await shown(html, width, scheme)
        expect(complaints).toEqual([])
        expect(scrollWidth).toBeLessThanOrEqual(width)
        if (smallestText !== undefined) expect(smallestText).toBeGreaterThanOrEqual(10)
      },
    )

    test('is light or dark as the reader likes', async () => {
      const light = await shown(html, 800, 'light')
      const dark = await shown(html, 800, 'dark')
      expect([light.background, dark.background]).toEqual(['rgb(252, 252, 251)', 'rgb(26, 26, 25)'])
    })
  })

  test('all plots are there, with their marks inside of them', async () => {
    const { plots, outside } = await shown(pages['the page of sample results'], 400, 'light')
    expect(plots).toEqual(
      contentOf(subjects, drawable).chapters.flatMap((chapter) =>
        chapter.plots.map(({ title }) => `${chapter.name}: ${title}`),
      ),
    )
    expect(outside).toEqual([])
  })
})

interface Seen {
  readonly complaints: readonly string[]
  readonly scrollWidth: number
  readonly background: string
  readonly plots: readonly string[]
  readonly outside: readonly string[]
  /** In pixels as they are seen; undefined where nothing is drawn. */
  readonly smallestText: number | undefined
}

/** Reads off the page what a person would see. */
async function look(page: Awaited<ReturnType<Browser['newPage']>>): Promise<Seen> {
  const seen = await page.evaluate<Omit<Seen, 'complaints'>>(`(() => {
    const texts = [...document.querySelectorAll('svg text')]
    const outside = [...document.querySelectorAll('svg')].flatMap((svg) => {
      const frame = svg.getBoundingClientRect()
      return [...svg.querySelectorAll('text, path, circle, rect')]
        .filter((mark) => {
          const box = mark.getBoundingClientRect()
          return box.left < frame.left - 4 || box.right > frame.right + 4
            || box.top < frame.top - 4 || box.bottom > frame.bottom + 4
        })
        .map((mark) => svg.getAttribute('aria-label') + ': ' + (mark.textContent || mark.tagName))
    })
    const heights = texts.map((text) => {
      const scale = text.ownerSVGElement.getBoundingClientRect().width / 360
      return parseFloat(getComputedStyle(text).fontSize) * scale
    })
    return {
      scrollWidth: document.documentElement.scrollWidth,
      background: getComputedStyle(document.body).backgroundColor,
      plots: [...document.querySelectorAll('section')].flatMap((section) =>
        [...section.querySelectorAll('svg')].map(
          (svg) => section.id + ': ' + svg.getAttribute('aria-label'))),
      outside,
      smallestText: heights.length === 0 ? undefined : Math.min(...heights),
    }
  })()`)
  return { complaints: [], ...seen }
}
