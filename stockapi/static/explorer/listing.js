/** What there is: the tickers that have bars, in every market, with their names and sectors, and the last bars of one market. */

import { fetchFound, fetchLast } from "./api.js";
import { language } from "./i18n.js";
import { MARKETS } from "./markets.js";

/**
 * @typedef {object} Ticker
 * @property {string} symbol @property {string} mode
 * @property {string} name "" when it has none @property {string} texts all its names, to be searched
 * @property {string} sector "" when it has none
 */

/** @typedef {Ticker & {time: string, close: number, volume: number, change: number | null}} Traded with its last daily bar; change in percent */

/**
 * @typedef {object} Listing
 * @property {Map<string, Ticker>} tickers by `keyOf` @property {Traded[]} traded those of the market that is shown
 */

/** A symbol may be in several markets. */
export const keyOf = ({ mode, symbol }) => `${mode}:${symbol}`;

/** Tickers of other markets come along where they can be had. @returns {Promise<import("./api.js").Answer<Listing>>} */
export async function fetchListing(mode, signal) {
  const others = [...MARKETS.keys()].filter((each) => each !== mode);
  const more = Promise.allSettled(others.map((each) => fetchFound(each, signal)));
  const [answer, own] = await Promise.all([fetchLast(mode, [], signal), fetchFound(mode, signal)]);
  const found = [own, ...(await more).flatMap(({ value }) => value ?? [])];
  const tickers = new Map(found.flatMap(({ data }) => data.symbols).map((each) => [keyOf(each), tickerOf(each)]));
  const traded = Object.entries(answer.data).map(([symbol, { time, close, volume, close_changed: change }]) => ({
    symbol, mode, name: "", texts: "", sector: "", ...tickers.get(keyOf({ mode, symbol })),
    time: time[0], close: close[0], volume: volume[0], change: change[0],
  }));
  return { ...answer, data: { tickers, traded } };
}

function tickerOf({ symbol, mode, short_name: short, name, name_vi: inVietnamese, sector }) {
  // Of an unlisted ticker the symbol is all that is known.
  const shown = (language === "vi" && inVietnamese) || short;
  const texts = [...new Set([shown, short, name, inVietnamese])].filter(Boolean).join(" ");
  return { symbol, mode, name: shown === symbol ? "" : shown, texts, sector: sector ?? "" };
}
