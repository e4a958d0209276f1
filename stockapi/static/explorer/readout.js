/** The line above the chart: the bar under the crosshair, or the last one. */

import { el } from "./dom.js";
import { arrow, barTime, clockName, compact, direction, percent, price, share } from "./format.js";
import { t } from "./i18n.js";
import { AVERAGES } from "./state.js";

const pair = (name, value, className = "") => el("span", { class: className }, el("i", { textContent: name }), ` ${value}`);

/**
 * @param {HTMLElement} line
 * @param {import("./api.js").Series} series
 * @param {number} at position of the bar
 * @param {import("./price.js").Look & {first: number}} look and the position of the first bar in view, that percents are of
 */
export function showReadout(line, series, at, look) {
  const { ma, ema, unit, isIntraday } = look;
  const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => price(series[name][at], unit));
  const tone = direction(series.close[at] - series.open[at]);
  const change = series.close_changed[at];
  line.replaceChildren(
    el("b", { textContent: barTime(series.at[at], isIntraday) }),
    ...[["O", open], ["H", high], ["L", low], ["C", close]].map(([name, value]) => pair(name, value, tone)),
    el("span", { class: `change ${direction(change)}`, textContent: `${arrow(change)} ${percent(change)}`.trim() }),
    pair(t("Vol"), compact(series.volume[at])),
    el("span", { class: direction(series.volume_changed[at]), textContent: `(${percent(series.volume_changed[at], 1)})` }),
    el("span", { class: "break" }),
    ...AVERAGES.filter((period) => ma.includes(period)).map((period) =>
      pair(`${ema ? "EMA" : "MA"}${period}`, price(series[`ma${period}`][at], unit), `ma ma${period}`),
    ),
    ...indicators(series, at, look),
    ...comparisons(series, at, look),
  );
}

function indicators(series, at, { bb, pane, unit }) {
  const values = (names, write) => names.map((name) => write(series[name][at])).join(" / ");
  const shown = bb ? [pair("BB20", values(["bb20_upper", "bb20_middle", "bb20_lower"], (value) => price(value, unit)), "band")] : [];
  if (pane === "rsi") shown.push(pair("RSI14", share(series.rsi14[at]).replace("%", "")));
  if (pane === "macd") shown.push(pair("MACD", values(["macd", "macd_signal", "macd_hist"], (value) => price(value, unit))));
  return shown;
}

/** What each has gained since the left edge of the chart. */
function comparisons(series, at, { symbol, compare, first }) {
  if (compare.length === 0) return [];
  const gain = (column) => (column[first] > 0 && column[at] != null ? (column[at] / column[first] - 1) * 100 : null);
  const others = compare.filter((name) => series[name]).map((name, i) => pair(name, percent(gain(series[name])), `ma other${i + 1}`));
  return [el("span", { class: "break" }), pair(symbol, percent(gain(series.close))), ...others];
}

/** The same for those who hear it. */
export function spokenBar(series, at, { unit, isIntraday }) {
  const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => price(series[name][at], unit));
  const change = series.close_changed[at];
  const volume = compact(series.volume[at]);
  const values = { time: barTime(series.at[at], isIntraday), open, high, low, close, change: percent(change), volume };
  return t("{time}: open {open}, high {high}, low {low}, close {close}, {change}, volume {volume}", values);
}

/** A sentence or two that say what the chart shows. */
export function summary(series, { symbol, mode, interval, unit, isIntraday }) {
  const { at, close, high, low } = series;
  const last = close.length - 1;
  const change = close[0] > 0 ? ((close[last] - close[0]) / close[0]) * 100 : null;
  const [top, bottom] = [indexOf(high, Math.max), indexOf(low, Math.min)];
  const when = (place) => barTime(at[place], isIntraday);
  const text = t(
    "{symbol}, {count} bars of {interval}, {from} to {to}: close {first} to {last} ({change}), high {high} on {highTime}, low {low} on {lowTime}.",
    {
      symbol, interval, count: close.length, from: when(0), to: when(last),
      first: price(close[0], unit), last: price(close[last], unit), change: percent(change),
      high: price(high[top], unit), highTime: when(top), low: price(low[bottom], unit), lowTime: when(bottom),
    },
  );
  return isIntraday ? `${text} ${t("Times are {clock}.", { clock: clockName(mode) })}` : text;
}

const indexOf = (values, choose) => values.indexOf(values.reduce((a, b) => choose(a, b)));
