/** The bars of one ticker that the page holds: more than it shows, so that one can move about in them. */

import { fetchSeries } from "./api.js";
import { apiTime, marketNow } from "./format.js";
import { MAX_BARS, endOf, lastStartOf, limitFor, mostBars, positionFrom, spanOf, startOf } from "./ranges.js";
import { rangeOf } from "./state.js";

/** Bars held on the left of those that are shown: room to pan at once, and for indicators to settle in. */
const MARGIN = 200;
const CHUNK = 600;
/** Closed bars that must be as they were before newer ones are put beside them. */
const OVERLAP = 3;
const MAX_TRIES = 6;

/**
 * @typedef {object} Held
 * @property {{mode: string, symbol: string, interval: string, ema: boolean}} what
 * @property {import("./api.js").Series} series without a hole, none of it cut short
 * @property {boolean} hasOldest no bar is before them
 * @property {boolean} hasNewest no bar is after them
 * @property {boolean} [isTooMuch] there are more bars in the window than can be shown
 */

/** The bars that the state asks for, and some before them. @param {import("./state.js").State} state @returns {Promise<import("./api.js").Answer<Held>>} */
export async function openBars(state, signal) {
  const what = whatOf(state);
  const { from, to, interval, mode } = state;
  const endMs = to ? endOf(lastStartOf(to, interval, mode), interval) : undefined;
  const span = from ? (endMs ?? marketNow(mode)) - startOf(from, mode) : 0;
  const wanted = from ? mostBars(span, interval, mode) : limitFor(rangeOf(state), interval, mode);
  const limit = Math.min(wanted, MAX_BARS) + MARGIN;
  const answer = await fetchSeries(what, { limit, end_date: endMs && apiTime(endMs, mode) }, signal);
  const hasOldest = answer.data.at.length < limit;
  const held = { what, series: whole(answer.data, endMs, what), hasOldest, hasNewest: isNow(endMs, mode) };
  const isCut = from && !hasOldest && answer.data.at[0] > startOf(from, mode);
  return { ...answer, data: { ...held, isTooMuch: Boolean(isCut) } };
}

/** Bars before those. @param {Held} held @returns {Promise<{series: import("./api.js").Series, hasOldest: boolean}>} */
export async function olderBars({ what, series }, signal) {
  const { data } = await fetchSeries(what, { limit: CHUNK, end_date: apiTime(series.at[0] - 1_000, what.mode) }, signal);
  return { series: data, hasOldest: data.at.length < CHUNK };
}

/** Bars after those. @param {Held} held @returns {Promise<{series: import("./api.js").Series, hasNewest: boolean}>} */
export async function newerBars({ what, series }, signal) {
  const { interval, mode } = what;
  const last = series.at.at(-1);
  for (let tries = 0, span = spanOf(CHUNK, interval, mode); ; tries += 1, span *= 4) {
    const endMs = tries < MAX_TRIES && last + span < marketNow(mode) ? last + span : undefined;
    const limit = mostBars((endMs ?? marketNow(mode)) - last, interval, mode) + 2;
    const { data } = await fetchSeries(what, { limit, end_date: endMs && apiTime(endMs, mode) }, signal);
    const found = whole(data, endMs, what);
    if (endMs === undefined || found.at.at(-1) > last) return { series: found, hasNewest: endMs === undefined };
  }
}

/**
 * What has been stored since: the last bars that are held, and those after them; `undefined` when they do not continue what is
 * held, as after a dividend.
 * @param {Held} held which has the newest @returns {Promise<import("./api.js").Answer<{newer: import("./api.js").Series} | undefined>>}
 */
export async function latestBars({ what, series }, signal) {
  const limit = mostBars(Math.max(0, marketNow(what.mode) - series.at.at(-1)), what.interval, what.mode) + OVERLAP;
  const answer = await fetchSeries(what, { limit: Math.min(limit, CHUNK) }, signal, { isLive: true });
  return { ...answer, data: continues(series, answer.data) ? { newer: answer.data } : undefined };
}

export const whatOf = ({ mode, symbol, interval, ema }) => ({ mode, symbol, interval, ema });

export const isSame = (one, other) => ["mode", "symbol", "interval", "ema"].every((key) => one[key] === other[key]);

function isNow(endMs, mode) {
  return endMs === undefined || endMs >= marketNow(mode);
}

/** Without a last bar that the end of the question may have cut short. */
function whole(series, endMs, { interval, mode }) {
  const count = series.at.length;
  if (isNow(endMs, mode) || count === 0 || endOf(series.at[count - 1], interval) <= endMs) return series;
  return part(series, 0, count - 1);
}

/** Two series of which the second goes on where the first ends or before: what both have is taken from the second. */
export function joined(first, second) {
  const keep = second.at.length > 0 ? positionFrom(first.at, second.at[0]) : first.at.length;
  return Object.fromEntries(Object.keys(first).map((name) => [name, first[name].slice(0, keep).concat(second[name])]));
}

/** Bars from `start` to before `end`. */
export function part(series, start, end) {
  return Object.fromEntries(Object.entries(series).map(([name, column]) => [name, column.slice(start, end)]));
}

/** The newest bar may still have grown; those before it are as they were, or else the history is another one. */
function continues(series, newer) {
  const start = newer.at.length > 0 ? positionFrom(series.at, newer.at[0]) : series.at.length;
  if (start >= series.at.length) return false;
  for (let at = start; at < series.at.length - 1; at += 1) {
    if (newer.at[at - start] !== series.at[at] || newer.close[at - start] !== series.close[at]) return false;
  }
  return newer.at.at(-1) >= series.at.at(-1);
}
