/** What there is: the tickers that have bars, in every market, with their names, sectors and last bars. */

import { fetchGroups, fetchLast, fetchNames } from "./api.js";
import { MARKETS } from "./markets.js";

/**
 * @typedef {object} Ticker
 * @property {string} symbol @property {string} mode @property {string} name "" when it has none
 * @property {string} sector "" when it has none
 * @property {string} time of its last daily bar @property {number} close @property {number} volume @property {number | null} change in percent
 */

/**
 * @typedef {object} Listing
 * @property {Record<string, string>} names by symbol @property {Record<string, string[]>} groups symbols by sector
 * @property {Ticker[]} tickers
 */

/**
 * Of the market that is shown; others come along where they can be had.
 * @returns {Promise<import("./api.js").Answer<Map<string, Listing>>>} by mode
 */
export async function fetchListings(mode, signal) {
  const others = [...MARKETS.keys()].filter((each) => each !== mode);
  const [own, ...more] = await Promise.allSettled([mode, ...others].map((each) => fetchListing(each, signal)));
  if (own.reason) throw own.reason;
  const found = [own.value, ...more.flatMap(({ value }) => value ?? [])];
  return { ...own.value.answer, data: new Map(found.map(({ listing }) => [listing.mode, listing])) };
}

async function fetchListing(mode, signal) {
  const asked = [fetchLast(mode, [], signal), fetchNames(mode, signal), fetchGroups(mode, signal)];
  const [answer, { data: names }, { data: groups }] = await Promise.all(asked);
  const sectors = new Map(Object.entries(groups).flatMap(([sector, symbols]) => symbols.map((symbol) => [symbol, sector])));
  const tickers = Object.entries(answer.data).map(([symbol, { time, close, volume, close_changed: change }]) => ({
    symbol, mode, name: names[symbol] ?? "", sector: sectors.get(symbol) ?? "",
    time: time[0], close: close[0], volume: volume[0], change: change[0],
  }));
  return { answer, listing: { mode, names, groups, tickers } };
}
