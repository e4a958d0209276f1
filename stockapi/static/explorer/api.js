/** The only module that talks to the server. */

import { marketTime } from "./format.js";
import { t } from "./i18n.js";
import { askForKey, currentKey } from "./key.js";
import { MARKETS } from "./markets.js";

const TIMEOUT_MS = 30_000;
const MOST_FOUND = 10_000;
/** The path under which a proxy serves this page and the API, such as /markets, or nothing. */
const PREFIX = document.body.dataset.prefix;

/** A request that failed, in the API's own words. `status` is 0 when there was no answer. */
export class ApiError extends Error {
  constructor(url, status, message) {
    super(message);
    Object.assign(this, { url, status });
  }
}

/**
 * @template T
 * @typedef {object} Answer
 * @property {T} data
 * @property {string} source which store answered, or ""
 * @property {number} maxAgeMs how long the answer may be kept
 * @property {string} url the request, as another program could make it
 */

/**
 * The bars of one ticker as columns, oldest first; null where an indicator is absent.
 * @typedef {object} Series
 * @property {string[]} time as the API gives it, UTC
 * @property {number[]} at market time in milliseconds, see `marketTime`
 * @property {number[]} open @property {number[]} high @property {number[]} low @property {number[]} close @property {number[]} volume
 * and the indicators that were asked for, by their names
 */

const OHLCV = ["time", "open", "high", "low", "close", "volume"];
const BAR_COLUMNS = [...OHLCV, "ma10", "ma20", "ma50", "ma100", "ma200", "close_changed", "volume_changed"];
const QUOTE_COLUMNS = [...OHLCV, "ma20_score", "close_changed"];

/**
 * @param {string} path @param {Record<string, string | number>} parameters empty ones are left out
 * @param {AbortSignal} signal
 * @returns {Promise<Answer<any>>}
 */
async function get(path, parameters, signal, { isLive = false } = {}) {
  const url = address(path, parameters);
  for (;;) {
    const key = currentKey();
    try {
      return await ask(url, key, signal, isLive);
    } catch (error) {
      if (error.status !== 401 || !(await askForKey(key))) throw error;
    }
  }
}

async function ask(url, key, signal, isLive) {
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  try {
    response = await fetch(url, {
      signal: AbortSignal.any([signal, deadline]),
      headers: { Accept: "application/json", ...(key && { Authorization: `Bearer ${key}` }) },
      cache: isLive ? "no-cache" : "default", // asked each time, and answered with 304 while nothing has changed
    });
    const data = await response.json();
    if (!response.ok) throw new ApiError(url, response.status, data.error ?? response.statusText);
    return { data, source: response.headers.get("X-Data-Source") ?? "", maxAgeMs: maxAgeMs(response), url };
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    if (deadline.aborted) throw new ApiError(url, 0, t("no answer within {seconds} seconds", { seconds: TIMEOUT_MS / 1000 }));
    throw new ApiError(url, response?.status ?? 0, response ? t("the answer is no JSON") : t("the server cannot be reached"));
  }
}

export function address(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value != null));
  // Commas and colons are legal in a query, and a line one copies should be one that one can read.
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return new URL(PREFIX + (text ? `${path}?${text}` : path), location.origin).href;
}

function maxAgeMs(response) {
  const seconds = /max-age=(\d+)/.exec(response.headers.get("Cache-Control") ?? "")?.[1];
  return seconds ? Number(seconds) * 1000 : 60_000;
}

/**
 * One ticker's bars.
 * @param {{mode: string, symbol: string, interval: string, ema: boolean}} what
 * @param {Record<string, string | number>} range which of them @returns {Promise<Answer<Series>>}
 */
export async function fetchSeries(what, range, signal, { columns = BAR_COLUMNS, isLive = false } = {}) {
  const answer = await get("/tickers", seriesQuery(what, range, columns), signal, { isLive });
  const found = answer.data[what.symbol];
  const data = Object.fromEntries(columns.map((name) => [name, found?.[name] ?? []]));
  data.at = data.time.map((text) => marketTime(text, what.mode));
  return { ...answer, data };
}

function seriesQuery({ mode, symbol, interval, ema }, range, columns) {
  return { mode, symbol, interval, ...range, ema: ema ? "true" : "", shape: "columns", columns: columns.join(",") };
}

/** The request for the bars of a series from one to another: a line to copy. */
export const barsAddress = (what, first, last) => address("/tickers", seriesQuery(what, { start_date: first, end_date: last }, BAR_COLUMNS));

/** The last two daily bars: price, change and the last trading day, whatever the chart shows. @returns {Promise<Answer<Series>>} */
export const fetchQuote = ({ mode, symbol }, signal) =>
  fetchSeries({ mode, symbol, interval: "1D", ema: false }, { limit: 2 }, signal, { columns: QUOTE_COLUMNS, isLive: true });

/** The last daily bar of tickers; without symbols, of all that have bars. @returns {Promise<Answer<Record<string, Record<string, any[]>>>>} */
export const fetchLast = (mode, symbols, signal, how = {}) =>
  get("/tickers", { mode, symbol: symbols.join(","), interval: "1D", limit: 1, shape: "columns", columns: "time,close,volume,close_changed" }, signal, how);

/** What is known of the tickers that have bars. @returns {Promise<Answer<{symbols: Record<string, any>[]}>>} */
export const fetchFound = (mode, signal) => get("/tickers/search", { mode, has_bars: "true", limit: MOST_FOUND }, signal);

/** @param {{date: string} | {start_date: string, end_date: string}} when */
export const fetchProfile = ({ mode, symbol }, when, signal) => get("/analysis/volume-profile", { mode, symbol, ...when }, signal);

/** The API's least volume is one of shares; of coins, a few thousand are a lot, so all of them count. */
export const fetchPerformers = ({ mode, sort, sector, date, rows }, signal) => {
  const least = MARKETS.get(mode).isWholeVolume ? {} : { min_volume: 0 };
  return get("/analysis/top-performers", { mode, sort_by: sort, sector, date, limit: rows, ...least }, signal);
};

/** Crypto is one sector, of which the page shows the strongest coins; of others the strongest stock is enough. */
export const fetchSectors = ({ mode, period, date }, signal) => {
  const most = MARKETS.get(mode).isOneSector ? 20 : 1;
  return get("/analysis/ma-scores-by-sector", { mode, ma_period: period, date, top_per_sector: most }, signal);
};
