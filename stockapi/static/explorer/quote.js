/** The head of the page: what the ticker costs, and how that compares with the day before. */

import { byId, fillFacts } from "./dom.js";
import { arrow, compact, dayText, difference, direction, money, percent, price } from "./format.js";
import { t } from "./i18n.js";

const SOURCES = { sqlite: "SQLite", csv: "CSV files", mixed: "SQLite and CSV files" };

/** The ticker's names, known before its price. */
export function showName(symbol, name, sector) {
  byId("symbol").textContent = symbol;
  byId("company").textContent = [name, sector].filter(Boolean).join(" \u00b7 ") || "\u00a0";
}

/** @param {import("./api.js").Series} series its last bar is the day's @param {string} source @param {import("./format.js").Unit} unit */
export function showQuote(series, source, unit) {
  const at = series.close.length - 1;
  const [close, change] = [series.close[at], series.close_changed[at]];
  byId("last-price").textContent = money(close, unit);
  const since = at > 0 ? close - series.close[at - 1] : null;
  const tone = byId("last-change");
  tone.className = `change ${direction(change)}`;
  tone.textContent = change == null ? "" : `${arrow(change)} ${difference(since, unit, close)} (${percent(change)})`.trim();
  fillFacts(byId("quote-facts"), [
    [t("Day"), dayText(series.at[at])],
    [t("Open"), price(series.open[at], unit)],
    [t("High"), price(series.high[at], unit)],
    [t("Low"), price(series.low[at], unit)],
    [t("Volume"), compact(series.volume[at])],
    ["MA20", percent(series.ma20_score[at])],
    [t("Source"), t(SOURCES[source] ?? source)],
  ]);
}

export function clearQuote() {
  byId("last-price").textContent = "\u00a0";
  byId("last-change").textContent = "";
  byId("quote-facts").replaceChildren();
}
