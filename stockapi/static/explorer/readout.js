/** The line above the chart: the bar under the crosshair, or the last one. */

import { el } from "./dom.js";
import { arrow, barTime, clockName, compact, direction, percent, price } from "./format.js";
import { AVERAGES } from "./state.js";

const pair = (name, value, className = "") => el("span", { class: className }, el("i", { textContent: name }), ` ${value}`);

/**
 * @param {HTMLElement} line
 * @param {import("./api.js").Series} series
 * @param {number} at position of the bar
 * @param {{ma: number[], unit: import("./format.js").Unit, isIntraday: boolean}} how
 */
export function showReadout(line, series, at, { ma, unit, isIntraday }) {
  const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => price(series[name][at], unit));
  const tone = direction(series.close[at] - series.open[at]);
  const change = series.close_changed[at];
  line.replaceChildren(
    el("b", { textContent: barTime(series.at[at], isIntraday) }),
    ...[["O", open], ["H", high], ["L", low], ["C", close]].map(([name, value]) => pair(name, value, tone)),
    el("span", { class: `change ${direction(change)}`, textContent: `${arrow(change)} ${percent(change)}`.trim() }),
    pair("Vol", compact(series.volume[at])),
    el("span", { class: direction(series.volume_changed[at]), textContent: `(${percent(series.volume_changed[at], 1)})` }),
    el("span", { class: "break" }),
    ...AVERAGES.filter((period) => ma.includes(period)).map((period) =>
      pair(`MA${period}`, price(series[`ma${period}`][at], unit), `ma ma${period}`),
    ),
  );
}

/** The same for those who hear it. */
export function spokenBar(series, at, { unit, isIntraday }) {
  const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => price(series[name][at], unit));
  const change = series.close_changed[at];
  const volume = compact(series.volume[at]);
  const time = barTime(series.at[at], isIntraday);
  return `${time}: open ${open}, high ${high}, low ${low}, close ${close}, ${percent(change)}, volume ${volume}`;
}

/** A sentence or two that say what the chart shows. */
export function summary(series, { symbol, mode, interval, unit, isIntraday }) {
  const { at, close, high, low } = series;
  const last = close.length - 1;
  const change = close[0] > 0 ? ((close[last] - close[0]) / close[0]) * 100 : null;
  const [top, bottom] = [indexOf(high, Math.max), indexOf(low, Math.min)];
  const clock = isIntraday ? ` Times are ${clockName(mode)}.` : "";
  return (
    `${symbol}, ${close.length} bars of ${interval}, ${barTime(at[0], isIntraday)} to ${barTime(at[last], isIntraday)}: ` +
    `close ${price(close[0], unit)} to ${price(close[last], unit)} (${percent(change)}), ` +
    `high ${price(high[top], unit)} on ${barTime(at[top], isIntraday)}, ` +
    `low ${price(low[bottom], unit)} on ${barTime(at[bottom], isIntraday)}.${clock}`
  );
}

const indexOf = (values, choose) => values.indexOf(values.reduce((a, b) => choose(a, b)));
