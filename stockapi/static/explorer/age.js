/** How old the newest bar is: whether it is still forming, and whether another one should have come since. */

import { isoDay } from "./format.js";
import { MARKETS } from "./markets.js";
import { INTERVALS } from "./ranges.js";

const DAY_MS = 86_400_000;
const WEEK_DAYS = 7;
/** Workers ask their sources within minutes; thinly traded stocks have minutes without a bar. */
const GRACE_MS = 1_800_000;

/**
 * @param {number} startMs at which the bar begins, as `marketTime` gives it @param {number} now on the same clock
 * @returns {{isForming: boolean, isLate: boolean}}
 */
export function ageOf(startMs, interval, mode, now) {
  const { isIntraday, lengthMs } = INTERVALS.get(interval);
  const end = endOfBar(startMs, interval, mode);
  const allowed = isIntraday ? lengthMs + GRACE_MS : MARKETS.get(mode).sessionMs;
  return { isForming: now < end, isLate: tradingTime(end, now, mode, allowed) > allowed };
}

/** When the bar is complete: with its time, but no later than the close of its last day. */
function endOfBar(startMs, interval, mode) {
  const { isIntraday, lengthMs } = INTERVALS.get(interval);
  const { opensMs, sessionMs, daysPerWeek } = MARKETS.get(mode);
  const day = Math.floor(startMs / DAY_MS) * DAY_MS;
  if (isIntraday) {
    const close = day + opensMs + sessionMs;
    return startMs < close ? Math.min(startMs + lengthMs, close) : startMs + lengthMs;
  }
  const date = new Date(day);
  const lastDay =
    lengthMs > 2 * WEEK_DAYS * DAY_MS ? Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)
    : lengthMs > DAY_MS ? day + lengthMs - (WEEK_DAYS - daysPerWeek + 1) * DAY_MS
    : day;
  return lastDay + opensMs + sessionMs;
}

/** How long the market has been open between two times; not counted further than a little more than `enough`. */
function tradingTime(from, to, mode, enough) {
  const { opensMs, sessionMs } = MARKETS.get(mode);
  let sum = 0;
  for (let day = Math.floor(from / DAY_MS) * DAY_MS; day < to && sum <= enough; day += DAY_MS) {
    if (!isTradingDay(day, mode)) continue;
    const opens = day + opensMs;
    sum += Math.max(0, Math.min(to, opens + sessionMs) - Math.max(from, opens));
  }
  return sum;
}

function isTradingDay(day, mode) {
  const { daysPerWeek, holidays } = MARKETS.get(mode);
  const weekday = (new Date(day).getUTCDay() + WEEK_DAYS - 1) % WEEK_DAYS; // 0 is Monday
  return weekday < daysPerWeek && !holidays.includes(isoDay(day));
}
