/**
 * Labels of the time axis. Bars stand side by side, so that nights, weekends and holidays leave no gaps; the axis counts
 * positions, and its labels are put where the calendar turns.
 */

import { clockText, monthName, shortDay } from "./format.js";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const MONDAY_MS = 4 * DAY_MS;  // 1970-01-01 was a Thursday
const LABEL_PX = 64;

const year = (ms) => new Date(ms).getUTCFullYear();
const month = (ms) => 12 * year(ms) + new Date(ms).getUTCMonth();
const day = (ms) => Math.floor(ms / DAY_MS);
const every = (lengthMs) => (ms) => Math.floor(ms / lengthMs);

/** From fine to coarse: what the calendar can turn by. */
const STEPS = [
  ...[1, 5, 15, 30].map((minutes) => every(minutes * MINUTE_MS)),
  ...[1, 2, 4, 8, 12].map((hours) => every(hours * HOUR_MS)),
  day,
  (ms) => Math.floor((ms - MONDAY_MS) / (7 * DAY_MS)),
  month,
  (ms) => Math.floor(month(ms) / 3),
  (ms) => Math.floor(month(ms) / 6),
  year,
  (ms) => Math.floor(year(ms) / 2),
  (ms) => Math.floor(year(ms) / 5),
];

/**
 * @param {number[]} times market times of all bars
 * @param {number} first @param {number} last positions in view, may lie outside
 * @param {number} widthPx of the plot
 * @returns {{tickvals: number[], ticktext: string[]}}
 */
export function timeTicks(times, first, last, widthPx) {
  const low = Math.max(0, Math.ceil(first));
  const high = Math.min(times.length - 1, Math.floor(last));
  const most = Math.max(2, Math.floor(widthPx / LABEL_PX));
  const gap = ((last - first) / widthPx) * LABEL_PX * 0.8;
  const tickvals = apart(fewEnough(times, low, high, most), times, gap);
  return { tickvals, ticktext: tickvals.map((at, i) => label(times, at, i === 0)) };
}

/** The turns of the finest step that has no more than `most`; of the next finer one if these are too few to read by. */
function fewEnough(times, low, high, most) {
  let [finer, found] = [[], []];
  for (const step of STEPS) {
    [finer, found] = [found, turns(times, low, high, step)];
    if (found.length <= most) break;
  }
  return found.length < most / 3 && finer.length > 0 ? finer : found;
}

/** Positions at which `step` is another than at the bar before. */
function turns(times, low, high, step) {
  const found = [];
  for (let at = Math.max(1, low); at <= high; at += 1) if (step(times[at]) !== step(times[at - 1])) found.push(at);
  return found;
}

/** Without those that would touch their neighbour; of two, the one that begins more stays. */
function apart(positions, times, gap) {
  const kept = [];
  for (const at of positions) {
    if (kept.length === 0 || at - kept.at(-1) >= gap) kept.push(at);
    else if (weight(times, at) > weight(times, kept.at(-1))) kept[kept.length - 1] = at;
  }
  return kept;
}

/** What begins with this bar: a year weighs more than a month, than a day. */
function weight(times, at) {
  return [day, month, year].filter((unit) => unit(times[at]) !== unit(times[at - 1])).length;
}

/** What begins with this bar; the first label says in which year or month that is. */
function label(times, at, isFirst) {
  const ms = times[at];
  switch (weight(times, at)) {
    case 3:
      return String(year(ms));
    case 2:
      return isFirst ? `${monthName(ms)} ${year(ms)}` : monthName(ms);
    case 1:
      return shortDay(ms);
    default:
      return clockText(ms);
  }
}
