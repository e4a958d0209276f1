/** Bars of sector strength: the mean score of each sector, strongest first. */

import { el, keepingFocus } from "./dom.js";
import { arrow, direction, percent, sectorName } from "./format.js";
import { t } from "./i18n.js";

/**
 * A market of one sector, as crypto is, is shown by its strongest tickers too.
 * @param {HTMLElement} list
 * @param {{sectors: object[], ma_period: number}} strength of /analysis/ma-scores-by-sector
 * @param {{sector: string, symbol: string, onSector: (sector: string) => void, onSymbol: (symbol: string) => void}} how
 *   picking the chosen sector gives ""
 */
export function showSectors(list, { sectors, ma_period: period }, { sector, symbol, onSector, onSymbol }) {
  const rows = sectors.map((each) => sectorRow(each, period, each.sector_name === sector, onSector));
  if (sectors.length === 1) rows.push(...sectors[0].top_stocks.map((stock) => stockRow(stock, stock.symbol === symbol, onSymbol)));
  const scores = rows.map(({ score }) => score);
  const [low, high] = [Math.min(0, ...scores), Math.max(0, ...scores)];
  const span = high - low || 1;
  list.style.setProperty("--origin", String(-low / span));
  keepingFocus(list, () => list.replaceChildren(...rows.map((row) => el("li", {}, button(row, span)))));
}

function sectorRow(sector, period, isChosen, onSector) {
  const { sector_name: code, average_score: score, total_stocks: total, stocks_above_threshold: above, top_stocks: top } = sector;
  return {
    code, score, isChosen,
    name: sectorName(code),
    count: `${above}/${total}`,
    title: t("{above} of {total} are above their average of {count} days; strongest: {symbol}", {
      above, total, count: period, symbol: top[0]?.symbol ?? t("none"),
    }),
    pick: () => onSector(isChosen ? "" : code),
  };
}

function stockRow({ symbol, ma_score: score }, isChosen, onSymbol) {
  return { code: symbol, score, isChosen, name: symbol, count: "", title: t("Show {symbol}", { symbol }), pick: () => onSymbol(symbol) };
}

function button({ code, name, score, count, title, isChosen, pick }, span) {
  const bar = el("span", { class: `bar ${direction(score)}` });
  bar.style.setProperty("--share", String(Math.abs(score) / span));
  const node = el(
    "button",
    { type: "button", title, "aria-pressed": String(isChosen), onclick: pick },
    el("span", { class: "name", textContent: name }),
    el("span", { class: "track", "aria-hidden": "true" }, bar),
    el("span", { class: `change ${direction(score)}`, textContent: `${arrow(score)} ${percent(score)}`.trim() }),
    el("span", { class: "count", textContent: count }),
  );
  node.dataset.key = code;
  return node;
}
