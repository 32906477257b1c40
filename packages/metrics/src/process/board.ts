import type { Declaration } from '../declarations/declaration.ts'
import { type Echo, HistogramSeries, Metric, type Series } from './series.ts'

/** All metrics of a process and their values, whoever shows them. */
export class Board {
  readonly #most: number
  readonly #values = new Map<Declaration, Metric<Series>>()
  readonly #histograms = new Map<Declaration, Metric<HistogramSeries>>()
  readonly #echoes = new Map<Declaration, Set<Echo>>()
  readonly #refreshers = new Set<() => Promise<void> | void>()
  #refreshing: Promise<void> | undefined

  /** @param mostSeries how many series one metric may have */
  constructor(mostSeries: number) {
    this.#most = mostSeries
  }

  /** A counter or gauge. */
  values(declaration: Declaration): Metric<Series> {
    let metric = this.#values.get(declaration)
    if (metric === undefined) {
      metric = new Metric<Series>(declaration, this.#most, (labels) => ({ labels, value: 0 }))
      this.#values.set(declaration, metric)
    }
    return metric
  }

  histogram(declaration: Declaration): Metric<HistogramSeries> {
    let metric = this.#histograms.get(declaration)
    if (metric === undefined) {
      const echoes = this.#echoesOf(declaration)
      metric = new Metric(
        declaration,
        this.#most,
        (labels) => new HistogramSeries(labels, declaration.buckets ?? [], echoes),
      )
      this.#histograms.set(declaration, metric)
    }
    return metric
  }

  /** Takes every value of a histogram from now on; the answer ends that. */
  echo(declaration: Declaration, echo: Echo): () => void {
    const echoes = this.#echoesOf(declaration)
    echoes.add(echo)
    return () => {
      echoes.delete(echo)
    }
  }

  /** Adds something that brings gauges up to date before they are shown. */
  onRefresh(refresher: () => Promise<void> | void): void {
    this.#refreshers.add(refresher)
  }

  /** Brings gauges up to date; whoever asks meanwhile shares it. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    await Promise.allSettled([...this.#refreshers].map(async (refresher) => await refresher()))
  }

  #echoesOf(declaration: Declaration): Set<Echo> {
    let echoes = this.#echoes.get(declaration)
    if (echoes === undefined) this.#echoes.set(declaration, (echoes = new Set()))
    return echoes
  }
}
