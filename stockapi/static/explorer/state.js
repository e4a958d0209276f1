/** What the page shows, kept in its address: a link brings it back, and so does the back button. */

import { MARKETS } from "./markets.js";
import { INTERVALS, MAX_BARS, endOf, estimate, lastStartOf, startOf } from "./ranges.js";

const MODES = [...MARKETS.keys()];
export const AVERAGES = [10, 20, 50, 100, 200];
export const SORTS = [
  ["close_changed", "Change"],
  ["volume", "Volume"],
  ["volume_changed", "Volume change"],
  ["total_money_changed", "Money change"],
  ...AVERAGES.map((n) => [`ma${n}_score`, `MA${n} score`]),
];
export const SCALES = ["linear", "log", "percent"];
export const PANES = ["", "rsi", "macd"];
export const MOST_COMPARED = 4;
export const SCOPES = ["day", "view", "off"];
export const ROWS = ["5", "8", "10", "20", "50"];

const SYMBOL = /^[A-Z0-9][A-Z0-9._-]{0,19}$/;
const DATE = /^\d{4}-\d\d-\d\d$/;
const MINUTE = /^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d$/;
const GROUP = /^[\w .&-]{1,64}$/u;
const NONE = "none";
/** Fewer bars than this are no chart: a window of an hour has one bar of a day. */
const FEWEST_BARS = 10;

/**
 * @typedef {object} State
 * @property {string} mode
 * @property {string} symbol
 * @property {string} interval
 * @property {string} range a preset that was chosen, or "" when `from` or `to` say it, or nothing does: see `rangeOf`
 * @property {string} from the first bar in view: a day, a minute (UTC), or ""
 * @property {string} to the last bar in view, likewise; "" is the newest there is
 * @property {number[]} ma periods of the averages shown, ascending
 * @property {boolean} ema whether they are exponential
 * @property {"linear" | "log" | "percent"} scale of the prices
 * @property {boolean} bb whether Bollinger bands are shown
 * @property {"" | "rsi" | "macd"} pane what is drawn below the volume
 * @property {string[]} compare other tickers of the market
 * @property {"day" | "view" | "off"} scope of the volume profile
 * @property {string} sort @property {string} sector @property {string} date @property {string} rows @property {string} period
 */

export const isSymbol = (text) => SYMBOL.test(text);

/** Browsers take the 30th of February for the 2nd of March: a day of the calendar comes back as it was written. */
export function isDay(text) {
  if (!DATE.test(text)) return false;
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}

/** A day, or a minute as `2026-02-27T02:30`. */
export function isMoment(text) {
  return isDay(text) || (MINUTE.test(text) && isDay(text.slice(0, 10)));
}

/** The range to begin with, unless something was chosen. @param {State} state */
export function rangeOf({ range, interval }) {
  return range || INTERVALS.get(interval).fallback;
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
  const moment = (name) => (isMoment(text(name)) ? text(name) : "");
  const [from, to] = ordered(moment("from"), moment("to"));
  return {
    mode,
    symbol: isSymbol(symbol) ? symbol : MARKETS.get(mode).firstSymbol,
    interval,
    range: from || to ? "" : oneOf(text("range"), INTERVALS.get(interval).ranges, ""),
    from,
    to,
    ma: parseAverages(query.get("ma")),
    ema: text("avg") === "ema",
    bb: text("bb") === "1",
    pane: oneOf(text("pane"), PANES, ""),
    compare: [...new Set(text("compare").toUpperCase().split(","))].filter((each) => isSymbol(each) && each !== symbol).slice(0, MOST_COMPARED),
    scale: oneOf(text("scale"), SCALES, "linear"),
    scope: oneOf(text("profile"), SCOPES, "day"),
    sort: oneOf(text("sort"), SORTS.map(([key]) => key), "close_changed"),
    sector: GROUP.test(text("sector")) ? text("sector") : "",
    date: day("date"),
    rows: oneOf(text("rows"), ROWS, "8"),
    period: oneOf(text("period"), AVERAGES.map(String), "20"),
  };
}

/** Two ends of a window, or none where they are the wrong way round. */
function ordered(from, to) {
  const size = Math.min(from.length, to.length);
  return size > 0 && from.slice(0, size) > to.slice(0, size) ? ["", ""] : [from, to];
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
  put("range", state.range, "");
  put("from", state.from, "");
  put("to", state.to, "");
  put("ma", state.ma.join(",") || NONE, AVERAGES.join(","));
  put("avg", state.ema ? "ema" : "", "");
  put("bb", state.bb ? "1" : "", "");
  put("pane", state.pane, "");
  put("compare", state.compare.join(","), "");
  put("scale", state.scale, "linear");
  put("profile", state.scope, "day");
  put("sort", state.sort, "close_changed");
  put("sector", state.sector, "");
  put("date", state.date, "");
  put("rows", state.rows, "8");
  put("period", state.period, "20");
  return `?${query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":")}`;
}

/** The one state of the page. Listeners hear which keys have changed. */
export class Store {
  /** @param {(state: State, changed: Set<string>) => void} listener */
  constructor(listener) {
    this.state = parse(location.search);
    this._listener = listener;
    this._range = this.state.range;
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

  /** One has moved to this window in the chart: the address says so, and nobody need act on it. */
  moved(from, to) {
    this.state = { ...this.state, range: "", from, to };
    history.replaceState(null, "", format(this.state));
  }

  /** Back to the range that was chosen last. */
  reset() {
    const { ranges } = INTERVALS.get(this.state.interval);
    this.update({ range: ranges.includes(this._range) ? this._range : "", from: "", to: "" }, { isMinor: true });
  }

  _become(next) {
    const before = this.state;
    const changed = new Set(Object.keys(next).filter((key) => String(next[key]) !== String(before[key])));
    this.state = next;
    if (!next.from && !next.to) this._range = next.range;
    if (changed.size > 0) this._listener(next, changed);
  }
}

/** What one choice means for the others. */
function consistent(next, patch) {
  if ("mode" in patch && !("symbol" in patch)) next.symbol = MARKETS.get(next.mode).firstSymbol;
  if ("mode" in patch) Object.assign(next, { compare: [], sector: patch.sector ?? "" });
  next.compare = next.compare.filter((each) => each !== next.symbol);
  if (patch.range) Object.assign(next, { from: "", to: "" });
  if (next.from || next.to) next.range = "";
  if (patch.interval) keepWindow(next);
  if (!INTERVALS.get(next.interval).ranges.includes(next.range)) next.range = "";
  return next;
}

/** In another interval the same window, if that is neither a few bars nor too many: else the usual number of them, to the same end. */
function keepWindow(next) {
  const { interval, mode } = next;
  if (!INTERVALS.get(interval).isIntraday) Object.assign(next, { from: next.from.slice(0, 10), to: next.to.slice(0, 10) });
  if (!next.from) return;
  const end = next.to ? endOf(lastStartOf(next.to, interval, mode), interval) : Date.now();
  const count = estimate(end - startOf(next.from, mode), interval, mode);
  if (count < FEWEST_BARS || count > MAX_BARS) next.from = "";
}
