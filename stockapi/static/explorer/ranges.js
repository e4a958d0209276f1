/** Intervals, the ranges that make sense for each, and how much time and how many bars they are. */

import { t } from "./i18n.js";
import { marketTime } from "./format.js";
import { LENGTHS, MARKETS } from "./markets.js";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const SECOND_MS = 1_000;

/**
 * @typedef {object} IntervalInfo
 * @property {string} name
 * @property {boolean} isIntraday
 * @property {number} lengthMs nominal; of a month, 28 days
 * @property {number} longestMs no bar takes longer
 * @property {string[]} ranges
 * @property {string} fallback the range to begin with
 */

/** From this length on, in minutes: the ranges, and the one to begin with. */
const RANGES = [
  [1, ["1h", "1d", "2d", "3d", "10d", "1M"], "1d"],
  [5, ["1d", "5d", "10d", "1M"], "5d"],
  [15, ["5d", "10d", "1M", "3M"], "5d"],
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
  // Months have up to 31 days; a fortnight at the end of some years has three weeks.
  const longestMs = interval.lengthMs + (interval.lengthMs > 7 * DAY_MS ? 7 * DAY_MS : 0);
  return { ...interval, longestMs, ranges, fallback };
}

/** @type {Map<string, IntervalInfo>} */
export const INTERVALS = new Map(LENGTHS.map((interval) => [interval.name, withRanges(interval)]));

/** More bars than this at once are no chart but a smear; a month of minutes of a stock has some 5,000. */
export const MAX_BARS = 6_000;

const RANGE = /^(\d+)([hdMY])$/;
const UNIT_DAYS = { h: 1 / 24, d: 1, M: 31, Y: 366 };

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
  if (range === "All") return t("All bars there are");
  const [, count, unit] = RANGE.exec(range);
  const [one, many] = {
    h: ["Last hour", "Last {count} hours"],
    d: ["Last trading day", "Last {count} trading days"],
    M: ["Last month", "Last {count} months"],
    Y: ["Last year", "Last {count} years"],
  }[unit];
  return t(count === "1" ? one : many, { count });
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
  const perDay = unit === "d" || unit === "h" ? perTradingDay(info, mode) : perCalendarDay(info, mode);
  return Math.min(MAX_BARS, Math.ceil(days * perDay) + 2);
}

/** Position of the first bar that is in the range which ends with the last one. @param {number[]} times market times, ascending */
export function cut(times, range, mode) {
  if (range === "All" || times.length === 0) return 0;
  const [, text, unit] = RANGE.exec(range);
  const count = Number(text);
  const first = {
    h: () => times.at(-1) - count * HOUR_MS + 1,
    d: () => daysBefore(times, count, mode),
    M: () => monthsBefore(times.at(-1), count),
    Y: () => monthsBefore(times.at(-1), 12 * count),
  }[unit]();
  return positionFrom(times, first);
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

/** Position of the first time that is not before `ms`; their number when all are. @param {number[]} times ascending */
export function positionFrom(times, ms) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Market time at which the first bar of a window may begin. @param {string} from a day, or a minute in UTC */
export function startOf(from, mode) {
  return marketTime(from.length === 10 ? from : `${from}:00`, mode);
}

/** Market time at which the last bar of a window may begin. @param {string} to a day, or a minute in UTC */
export function lastStartOf(to, interval, mode) {
  const start = startOf(to, mode);
  return to.length === 10 && INTERVALS.get(interval).isIntraday ? start + DAY_MS - SECOND_MS : start;
}

/** Market time at which a bar that begins then has certainly ended. */
export function endOf(startMs, interval) {
  return startMs + INTERVALS.get(interval).longestMs - SECOND_MS;
}

/** At most so many bars begin within a span of time. */
export function mostBars(spanMs, interval, mode) {
  const info = INTERVALS.get(interval);
  return Math.ceil(Math.min((spanMs / DAY_MS + 1) * perTradingDay(info, mode), spanMs / info.lengthMs + 1)) + 1;
}

/** About the time that so many bars take, holidays not counted. */
export function spanOf(count, interval, mode) {
  return (count / perCalendarDay(INTERVALS.get(interval), mode)) * DAY_MS;
}

/** About how many bars there are in a span of time. */
export function estimate(spanMs, interval, mode) {
  return Math.ceil((Math.max(0, spanMs) / DAY_MS) * perCalendarDay(INTERVALS.get(interval), mode));
}

/** The shortest interval whose bars of this span can be shown. */
export function coarser(spanMs, mode) {
  return [...INTERVALS.keys()].find((name) => estimate(spanMs, name, mode) <= MAX_BARS) ?? [...INTERVALS.keys()].at(-1);
}
