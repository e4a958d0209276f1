/** What one takes along: the bars in view as CSV, the chart as a picture. */

import { announce, byId, el } from "./dom.js";
import { t } from "./i18n.js";
import { AVERAGES } from "./state.js";

const CSV_TYPE = "text/csv;charset=utf-8";
const FIRST = ["time", "open", "high", "low", "close", "volume"];

/** @param {import("./price.js").Price} price @param {import("./chart.js").Chart} chart */
export function installTakeAway(price, chart) {
  byId("save-csv").addEventListener("click", () => {
    const { inView, look } = price;
    if (inView) save(new Blob([csv(inView, look)], { type: CSV_TYPE }), `${fileName(inView, look)}.csv`);
  });
  byId("save-png").addEventListener("click", () => {
    const { inView, look } = price;
    if (inView) chart.picture().toBlob((picture) => save(picture, `${fileName(inView, look)}.png`), "image/png");
  });
}

/** One line for each bar, oldest first, with the columns that are shown; times are UTC, numbers as the API gives them. */
function csv(series, { ma, symbol, ema }) {
  const hidden = AVERAGES.filter((period) => !ma.includes(period)).map((period) => `ma${period}`);
  const more = Object.keys(series).filter((name) => ![...FIRST, ...hidden, "at"].includes(name));
  const names = [...FIRST, ...more];
  const head = ["symbol", ...names].map((name) => (ema && /^ma\d/.test(name) ? `e${name}` : name));
  const rows = series.time.map((_, at) => [symbol, ...names.map((name) => series[name][at] ?? "")]);
  return [head, ...rows].map((cells) => `${cells.join(",")}\n`).join("");
}

function fileName(series, { symbol, interval }) {
  return [symbol, interval, series.time[0], series.time.at(-1)].join("_").replaceAll(":", "");
}

function save(blob, download) {
  const href = URL.createObjectURL(blob);
  el("a", { href, download }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
  announce(t("Saved as {name}", { name: download }));
}
