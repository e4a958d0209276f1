/** Other tickers beside the one that is shown: their closes at its bars. */

import { fetchSeries } from "./api.js";

/** Closes of other tickers, as columns of the series that is shown. */
export class Comparison {
  constructor() {
    Object.assign(this, { _key: "", _found: new Map(), _abort: new AbortController() });
  }

  /**
   * The closes of these tickers at the bars of a series: of each, that of its last bar at or before; null before its first.
   * @param {string[]} symbols @param {import("./bars.js").Held} held
   * @returns {Record<string, (number | null)[]>} by symbol; those that are not known yet are not there
   */
  columns(symbols, { series }) {
    const known = symbols.filter((symbol) => this._found.has(symbol));
    return Object.fromEntries(known.map((symbol) => [symbol, asOf(series.at, this._found.get(symbol))]));
  }

  /**
   * Ask for what is missing. @param {string[]} symbols @param {import("./bars.js").Held} held
   * @returns {Promise<{reasons: string[], urls: string[]} | undefined>} why some could not be had, and what was asked; undefined
   *   when there was nothing to ask, or something newer has been asked since
   */
  async load(symbols, { what, series }) {
    const key = JSON.stringify([what, symbols, series.time[0], series.time.at(-1)]);
    if (key === this._key || symbols.length === 0) return undefined;
    this._key = key;
    this._abort.abort();
    this._abort = new AbortController();
    const { signal } = this._abort;
    const range = { start_date: series.time[0] };
    const asked = symbols.map((symbol) => fetchSeries({ ...what, symbol, ema: false }, range, signal, { columns: ["time", "close"] }));
    const answers = await Promise.allSettled(asked);
    if (signal.aborted) return undefined;
    this._found = new Map(symbols.flatMap((symbol, at) => (answers[at].value ? [[symbol, answers[at].value.data]] : [])));
    if (answers.some(({ reason }) => reason)) this._key = "";
    const reasons = answers.flatMap(({ reason }, at) => (reason ? [`${symbols[at]}: ${reason.message}`] : []));
    return { reasons, urls: answers.map(({ value, reason }) => (value ?? reason).url).filter(Boolean) };
  }
}

/** @param {number[]} times ascending @param {{at: number[], close: number[]}} other @returns {(number | null)[]} */
export function asOf(times, { at, close }) {
  let next = 0;
  return times.map((time) => {
    while (next < at.length && at[next] <= time) next += 1;
    return next === 0 ? null : close[next - 1];
  });
}
