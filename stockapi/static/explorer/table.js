/** The bars as a table: what the chart shows, for those who cannot see it or want the numbers. */

import { el } from "./dom.js";
import { barTime, percent, price, whole } from "./format.js";
import { t } from "./i18n.js";

/** More rows take the browser noticeable time: then one has to ask for them. */
const MOST_ROWS = 250;

/**
 * @param {HTMLDetailsElement} details its table is made only while it is open
 * @param {import("./api.js").Series | undefined} series none empties it
 * @param {import("./price.js").Look} look
 */
export function showTable(details, series, look) {
  const count = series?.at.length ?? 0;
  const render = (most) => {
    if (!details.open) return;
    const table = details.querySelector("table");
    const names = ["Time", "Open", "High", "Low", "Close", "Change", "Volume"].map((name) => t(name));
    const averages = look.ma.map((period) => `${look.ema ? "EMA" : "MA"}${period}`);
    table.tHead.replaceChildren(el("tr", {}, ...[...names, ...averages].map((name) => el("th", { scope: "col", textContent: name }))));
    const shown = Math.min(count, most);
    table.tBodies[0].replaceChildren(...Array.from({ length: shown }, (_, i) => row(series, count - 1 - i, look)));
    details.querySelector(".more").replaceChildren(...(shown < count ? partOf(shown, count, () => render(count)) : []));
  };
  details.ontoggle = () => render(MOST_ROWS);
  render(MOST_ROWS);
}

function partOf(shown, count, onAll) {
  const text = t("The newest {shown} of {count} bars.", { shown: whole(shown), count: whole(count) });
  return [`${text} `, el("button", { type: "button", textContent: t("Show all"), onclick: onAll })];
}

function row(series, at, { ma, unit, isIntraday }) {
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
