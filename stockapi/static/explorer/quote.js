/** The head of the page: what the ticker costs, and how that compares with the day before. */

import { bandOf, toneOf } from "./bands.js";
import { byId, el, fillFacts } from "./dom.js";
import { arrow, compact, dayText, difference, direction, money, percent, price } from "./format.js";
import { t } from "./i18n.js";
import { exchangeOf } from "./markets.js";

const SOURCES = { sqlite: "SQLite", csv: "CSV files", mixed: "SQLite and CSV files" };

/** The ticker's names, known before its price. */
export function showName(symbol, name, sector) {
  byId("symbol").textContent = symbol;
  const text = [name, sector].filter(Boolean).join(" \u00b7 ");
  byId("company").textContent = text || "\u00a0";
  byId("company").title = text; // of which a narrow page shows the beginning
}

/**
 * @param {import("./api.js").Series} series its last bar is the day's @param {string} source
 * @param {{mode: string, symbol: string, unit: import("./format.js").Unit}} ticker
 */
export function showQuote(series, source, { mode, symbol, unit }) {
  const at = series.close.length - 1;
  const [close, change] = [series.close[at], series.close_changed[at]];
  const since = at > 0 ? close - series.close[at - 1] : null;
  const exchange = exchangeOf(mode, symbol);
  const band = at > 0 ? bandOf(mode, exchange, series.close[at - 1]) : undefined;
  const tone = toneOf(close, band, direction(change));
  byId("last-price").textContent = money(close, unit);
  byId("last-price").className = band ? tone : "";
  const said = byId("last-change");
  said.className = `change ${tone}`;
  const limit = { ceiling: t("Ceiling"), floor: t("Floor") }[tone] ?? "";
  said.textContent = change == null ? "" : `${arrow(change)} ${difference(since, unit, close)} (${percent(change)}) ${limit}`.trim();
  fillFacts(byId("quote-facts"), [
    [t("Day"), dayText(series.at[at])],
    [t("Open"), price(series.open[at], unit)],
    [t("High"), price(series.high[at], unit)],
    [t("Low"), price(series.low[at], unit)],
    ...bandFacts(band, exchange, unit),
    [t("Volume"), compact(series.volume[at])],
    ["MA20", percent(series.ma20_score[at])],
    [t("Source"), t(SOURCES[source] ?? source)],
  ]);
}

function bandFacts(band, exchange, unit) {
  if (!band) return [];
  const title = t("From the last close, by the limit of {exchange}; on UPCOM and after a dividend the exchange's own may differ", { exchange });
  return [["Reference", "reference"], ["Ceiling", "ceiling"], ["Floor", "floor"]].map(([name, key]) => [
    t(name), el("span", { class: key, title, textContent: price(band[key], unit) }),
  ]);
}

export function clearQuote() {
  byId("last-price").textContent = "\u00a0";
  byId("last-change").textContent = "";
  byId("quote-facts").replaceChildren();
}
