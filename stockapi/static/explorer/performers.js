/** Tables of the best and the worst of the market. */

import { toneOfDay } from "./bands.js";
import { el, keepingFocus } from "./dom.js";
import { arrow, compact, direction, percent, price, sectorName, signedCompact } from "./format.js";
import { t } from "./i18n.js";
import { tickerLink } from "./links.js";

const change = (value, tone = direction(value)) => el("span", { class: `change ${tone}` }, `${arrow(value)} ${percent(value)}`.trim());

/**
 * @typedef {object} Column
 * @property {string} name @property {string} key what it is sorted by
 * @property {string} [title] @property {string} className
 * @property {(row: object, unitOf: (symbol: string) => import("./format.js").Unit, mode: string) => string | Node} cell
 */

/** @param {string} sort @returns {Column[]} */
function columns(sort) {
  const score = sort.endsWith("_score") ? sort : "ma20_score";
  const scoreName = score.slice(2, -6);
  // A phone has room for one column beside price and change: that which is sorted by, or else the last.
  const isExtra = (key) => ["volume", "volume_changed"].includes(sort) ? key === sort : key === "last";
  const narrow = (key) => (isExtra(key) ? "" : "wide");
  return [
    { name: "Close", key: "close", className: "", cell: (row, unitOf) => price(row.close, unitOf(row.symbol)) },
    { name: "Change", key: "close_changed", className: "", cell: (row, _, mode) => change(row.close_changed, toneOfDay(mode, row.symbol, row.close, row.close_changed)) },
    { name: "Volume", key: "volume", className: narrow("volume"), cell: (row) => compact(row.volume) },
    {
      name: "Vol. ch.", key: "volume_changed", className: narrow("volume_changed"),
      title: "Change of volume",
      cell: (row) => percent(row.volume_changed, 0),
    },
    sort === "total_money_changed"
      ? {
          name: "Money", key: sort, className: narrow("last"),
          title: "Change of price times volume",
          cell: (row) => signedCompact(row.total_money_changed),
        }
      : {
          name: `MA${scoreName}`, key: score, className: narrow("last"),
          title: "Close above or below its average of {count} days", period: scoreName,
          cell: (row) => change(row[score]),
        },
  ];
}

/** Both tables. Who has fallen is no gainer, even on a day on which everything falls. @param {object} found of /analysis/top-performers */
export function showRankings(top, worst, found, how) {
  const isChange = how.sort === "close_changed";
  const names = isChange ? ["Gainers", "Losers"] : ["Highest", "Lowest"];
  const both = [
    [top, found.performers, (change) => change > 0],
    [worst, found.worst_performers, (change) => change < 0],
  ];
  both.forEach(([table, rows, belongs], at) => {
    table.caption.textContent = t(names[at]);
    showPerformers(table, isChange ? rows.filter((row) => belongs(row.close_changed)) : rows, how);
  });
}

/**
 * @param {HTMLTableElement} table
 * @param {object[]} performers
 * @param {{sort: string, mode: string, symbol: string, unitOf: (symbol: string) => import("./format.js").Unit, onPick: (symbol: string) => void}} how
 */
function showPerformers(table, performers, { sort, mode, symbol, unitOf, onPick }) {
  const shown = columns(sort);
  const heads = shown.map((column) => headCell(column, sort));
  table.tHead.replaceChildren(el("tr", {}, el("th", { scope: "col", textContent: t("Ticker") }), ...heads));
  const bodies = performers.map((row) => {
    const isCurrent = row.symbol === symbol;
    const pick = tickerLink(mode, row.symbol, sectorName(row.sector));
    if (isCurrent) pick.setAttribute("aria-current", "true");
    const line = el("tr", { class: isCurrent ? "current" : "" }, el("th", { scope: "row" }, pick));
    line.addEventListener("click", (event) => event.target.closest("a") || onPick(row.symbol));
    line.append(...shown.map((column) => el("td", { class: column.className }, column.cell(row, unitOf, mode))));
    return line;
  });
  keepingFocus(table, () => table.tBodies[0].replaceChildren(...bodies));
}

function headCell({ name, key, title, period, className }, sort) {
  const cell = el("th", { scope: "col", textContent: t(name), class: className });
  if (title) cell.title = t(title, { count: period });
  if (key === sort) cell.classList.add("sorted");
  return cell;
}
