/** The bars as a table: what the chart shows, for those who cannot see it or want the numbers. */

import { el } from "./dom.js";
import { barTime, percent, price, whole } from "./format.js";

const MOST_ROWS = 250;

/**
 * @param {HTMLDetailsElement} details its table is made only while it is open
 * @param {import("./api.js").Series | undefined} series none empties it
 * @param {{ma: number[], unit: import("./format.js").Unit, isIntraday: boolean}} how
 */
export function showTable(details, series, { ma, unit, isIntraday }) {
  const render = () => {
    if (!details.open) return;
    const table = details.querySelector("table");
    const names = ["Time", "Open", "High", "Low", "Close", "Change", "Volume", ...ma.map((period) => `MA${period}`)];
    table.tHead.replaceChildren(el("tr", {}, ...names.map((name) => el("th", { scope: "col", textContent: name }))));
    const positions = newest(series?.at.length ?? 0);
    table.tBodies[0].replaceChildren(...positions.map((at) => row(series, at, ma, unit, isIntraday)));
  };
  details.ontoggle = render;
  render();
}

function newest(count) {
  return Array.from({ length: Math.min(count, MOST_ROWS) }, (_, i) => count - 1 - i);
}

function row(series, at, ma, unit, isIntraday) {
  const prices = (names) => names.map((name) => price(series[name][at], unit));
  const cells = [
    ...prices(["open", "high", "low", "close"]),
    percent(series.close_changed[at]),
    whole(series.volume[at]),
    ...prices(ma.map((period) => `ma${period}`)),
  ];
  const head = el("th", { scope: "row", textContent: barTime(series.at[at], isIntraday) });
  return el("tr", {}, head, ...cells.map((textContent) => el("td", { textContent })));
}
