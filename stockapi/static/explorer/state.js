/** What the page shows, kept in its address: a link brings it back, and so does the back button. */

import { MARKETS } from "./markets.js";
import { INTERVALS } from "./ranges.js";

const MODES = [...MARKETS.keys()];
export const AVERAGES = [10, 20, 50, 100, 200];
export const SORTS = [
  ["close_changed", "Change"],
  ["volume", "Volume"],
  ["volume_changed", "Volume change"],
  ["total_money_changed", "Money change"],
  ...AVERAGES.map((n) => [`ma${n}_score`, `MA${n} score`]),
];
export const ROWS = ["5", "8", "10", "20", "50"];

const SYMBOL = /^[A-Z0-9][A-Z0-9._-]{0,19}$/;
const DATE = /^\d{4}-\d\d-\d\d$/;
const GROUP = /^[\w .&-]{1,64}$/u;
const NONE = "none";

/**
 * @typedef {object} State
 * @property {string} mode
 * @property {string} symbol
 * @property {string} interval
 * @property {string} range a preset, or "" when `from` or `to` say it
 * @property {string} from a day, or ""
 * @property {string} to a day, or ""
 * @property {number[]} ma periods of the averages shown, ascending
 * @property {"day" | "view"} scope of the volume profile
 * @property {string} sort @property {string} sector @property {string} date @property {string} rows @property {string} period
 */

export const isSymbol = (text) => SYMBOL.test(text);

/** Browsers take the 30th of February for the 2nd of March: a day of the calendar comes back as it was written. */
export function isDay(text) {
  if (!DATE.test(text)) return false;
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}

const oneOf = (value, allowed, fallback) => (allowed.includes(value) ? value : fallback);

/** The state an address stands for; what is not allowed there becomes the default. @returns {State} */
export function parse(search) {
  const query = new URLSearchParams(search);
  const text = (name) => query.get(name) ?? "";
  const mode = oneOf(text("mode").toLowerCase(), MODES, MODES[0]);
  const symbol = text("symbol").toUpperCase();
  const interval = oneOf(text("interval"), [...INTERVALS.keys()], "1D");
  const day = (name) => (isDay(text(name)) ? text(name) : "");
  const [from, to] = day("from") && day("to") && day("from") > day("to") ? ["", ""] : [day("from"), day("to")];
  const { ranges, fallback } = INTERVALS.get(interval);
  return {
    mode,
    symbol: isSymbol(symbol) ? symbol : MARKETS.get(mode).firstSymbol,
    interval,
    range: from || to ? "" : oneOf(text("range"), ranges, fallback),
    from,
    to,
    ma: parseAverages(query.get("ma")),
    scope: oneOf(text("profile"), ["day", "view"], "day"),
    sort: oneOf(text("sort"), SORTS.map(([key]) => key), "close_changed"),
    sector: GROUP.test(text("sector")) ? text("sector") : "",
    date: day("date"),
    rows: oneOf(text("rows"), ROWS, "8"),
    period: oneOf(text("period"), AVERAGES.map(String), "20"),
  };
}

function parseAverages(text) {
  if (text === null) return [...AVERAGES];
  return AVERAGES.filter((period) => text.split(",").includes(String(period)));
}

/** The query of the address that stands for this state; defaults are left out, market and ticker never. @param {State} state */
export function format(state) {
  const query = new URLSearchParams({ mode: state.mode, symbol: state.symbol });
  const put = (name, value, fallback) => value !== fallback && query.set(name, value);
  put("interval", state.interval, "1D");
  if (state.range) put("range", state.range, INTERVALS.get(state.interval).fallback);
  put("from", state.from, "");
  put("to", state.to, "");
  put("ma", state.ma.join(",") || NONE, AVERAGES.join(","));
  put("profile", state.scope, "day");
  put("sort", state.sort, "close_changed");
  put("sector", state.sector, "");
  put("date", state.date, "");
  put("rows", state.rows, "8");
  put("period", state.period, "20");
  return `?${query.toString().replaceAll("%2C", ",")}`;
}

/** The one state of the page. Listeners hear which keys have changed. */
export class Store {
  /** @param {(state: State, changed: Set<string>) => void} listener */
  constructor(listener) {
    this.state = parse(location.search);
    this._listener = listener;
    history.replaceState(null, "", format(this.state));
    addEventListener("popstate", () => this._become(parse(location.search)));
  }

  /** @param {Partial<State>} patch @param {{isMinor?: boolean}} [how] a minor change is no step of the back button */
  update(patch, { isMinor = false } = {}) {
    const next = consistent({ ...this.state, ...patch }, patch);
    const address = format(next);
    if (address !== location.search) history[isMinor ? "replaceState" : "pushState"](null, "", address);
    this._become(next);
  }

  _become(next) {
    const before = this.state;
    const changed = new Set(Object.keys(next).filter((key) => String(next[key]) !== String(before[key])));
    this.state = next;
    if (changed.size > 0) this._listener(next, changed);
  }
}

/** What one choice means for the others. */
function consistent(next, patch) {
  if ("mode" in patch && !("symbol" in patch)) Object.assign(next, { symbol: MARKETS.get(next.mode).firstSymbol, sector: "" });
  if (patch.range) Object.assign(next, { from: "", to: "" });
  if (next.from || next.to) next.range = "";
  const { ranges, fallback } = INTERVALS.get(next.interval);
  if (!next.from && !next.to && !ranges.includes(next.range)) next.range = fallback;
  return next;
}
