/** Intervals, and the ranges that make sense for each. */

import { LENGTHS, MARKETS } from "./markets.js";

const DAY_MS = 86_400_000;

/**
 * @typedef {object} IntervalInfo
 * @property {string} name
 * @property {boolean} isIntraday
 * @property {number} lengthMs nominal; of a month, 28 days
 * @property {string[]} ranges
 * @property {string} fallback the range to begin with
 */

/** From this length on, in minutes: the ranges, and the one to begin with. */
const RANGES = [
  [1, ["1d", "2d", "3d"], "1d"],
  [5, ["1d", "5d", "10d"], "5d"],
  [15, ["5d", "10d", "1M"], "5d"],
  [30, ["5d", "1M", "3M"], "1M"],
  [60, ["5d", "1M", "3M", "6M"], "1M"],
  [240, ["1M", "3M", "6M", "1Y"], "6M"],
  [1_440, ["1M", "3M", "6M", "1Y", "2Y", "5Y", "All"], "1Y"],
  [10_080, ["6M", "1Y", "2Y", "5Y", "All"], "2Y"],
  [20_160, ["1Y", "2Y", "5Y", "All"], "5Y"],
  [40_320, ["1Y", "2Y", "5Y", "All"], "All"],
];

function withRanges(interval) {
  const [, ranges, fallback] = RANGES.findLast(([minutes]) => minutes * 60_000 <= interval.lengthMs);
  return { ...interval, ranges, fallback };
}

/** @type {Map<string, IntervalInfo>} */
export const INTERVALS = new Map(LENGTHS.map((interval) => [interval.name, withRanges(interval)]));

/** More bars than this are no chart but a smear, and slow; a year of minutes would be 60,000. */
export const MAX_BARS = 5_000;

const RANGE = /^(\d+)([dMY])$/;
const UNIT_DAYS = { d: 1, M: 31, Y: 366 };

const isAroundTheClock = (mode) => MARKETS.get(mode).sessionMs === DAY_MS;

/** Bars of a trading day, at most: the first and the last may be cut by the session. */
function perTradingDay({ lengthMs, isIntraday }, mode) {
  if (!isIntraday || isAroundTheClock(mode)) return DAY_MS / lengthMs;
  return Math.ceil(MARKETS.get(mode).sessionMs / lengthMs) + 1;
}

/** Weeks and months have all the days without a session, too. */
function perCalendarDay(info, mode) {
  return perTradingDay(info, mode) * (info.lengthMs <= DAY_MS ? MARKETS.get(mode).daysPerWeek / 7 : 1);
}

/** What a range is called when it is read aloud or pointed at. */
export function rangeHint(range) {
  if (range === "All") return "All bars there are";
  const [, count, unit] = RANGE.exec(range);
  const name = { d: "trading day", M: "month", Y: "year" }[unit];
  return count === "1" ? `Last ${name}` : `Last ${count} ${name}s`;
}

/**
 * How many of the newest bars to ask for so that the range is in them: ranges count back from the last bar there is, not from
 * today, so that Sundays and histories that ended long ago have a last month too. `cut` then takes off what is too much.
 */
export function limitFor(range, interval, mode) {
  if (range === "All") return MAX_BARS;
  const info = INTERVALS.get(interval);
  const [, count, unit] = RANGE.exec(range);
  const days = Number(count) * UNIT_DAYS[unit];
  const perDay = unit === "d" ? perTradingDay(info, mode) : perCalendarDay(info, mode);
  return Math.min(MAX_BARS, Math.ceil(days * perDay) + 2);
}

/** Position of the first bar that is in the range. @param {ArrayLike<number>} times market times, ascending */
export function cut(times, range, mode) {
  if (range === "All" || times.length === 0) return 0;
  const [, text, unit] = RANGE.exec(range);
  const count = Number(text);
  const first = unit === "d" ? daysBefore(times, count, mode) : monthsBefore(times.at(-1), unit === "Y" ? 12 * count : count);
  const found = times.findIndex((time) => time >= first);
  return Math.max(found, 0);
}

/** First moment of the last N days that have a bar; where the market never closes, days are spans of 24 hours. */
function daysBefore(times, count, mode) {
  if (isAroundTheClock(mode)) return times.at(-1) - count * DAY_MS + 1;
  const days = [];
  for (let at = times.length - 1; at >= 0 && days.length <= count; at -= 1) {
    const day = Math.floor(times[at] / DAY_MS);
    if (day !== days.at(-1)) days.push(day);
  }
  return days[Math.min(count, days.length) - 1] * DAY_MS;
}

function monthsBefore(ms, months) {
  const date = new Date(ms);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() - months);
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), Math.min(day, lastDay) + 1);
}

/** About how many bars there are between two days; without an end, until now. */
export function estimate(from, to, interval, mode, now = Date.now()) {
  const end = to ? Date.parse(to) + DAY_MS : now;
  const days = Math.max(0, (end - Date.parse(from)) / DAY_MS);
  return Math.ceil(days * perCalendarDay(INTERVALS.get(interval), mode));
}

/** The shortest interval whose bars of this range can be shown. */
export function coarser(from, to, mode) {
  return [...INTERVALS.keys()].find((name) => estimate(from, to, name, mode) <= MAX_BARS) ?? [...INTERVALS.keys()].at(-1);
}
