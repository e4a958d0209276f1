/** The panel of the price chart: which bars it holds, which of them are in view, and what is said of those. */

import { barsAddress } from "./api.js";
import { isSame, joined, latestBars, newerBars, olderBars, openBars, part, whatOf } from "./bars.js";
import { Comparison } from "./compare.js";
import { announce, byId, debounce, el } from "./dom.js";
import { marketNow, whole } from "./format.js";
import { t } from "./i18n.js";
import { INDICATORS } from "./indicators.js";
import { INTERVALS, MAX_BARS, coarser, cut, endOf, lastStartOf, positionFrom, startOf } from "./ranges.js";
import { showReadout, spokenBar, summary } from "./readout.js";
import { rangeOf } from "./state.js";
import { showTable } from "./table.js";

const LIVE_MS = 5_000;
const SETTLE_MS = 250;
const RETRY_MS = 5_000;
/** Bars left to scroll to when those before them are asked for. */
const EDGE_BARS = 60;
/** On a phone a bar is at least so wide when a ticker is opened; fingers then choose. */
const PHONE_BAR_PX = 5.6; // of a width that still has the price scale in it
const PHONE_PX = 520;

/**
 * What drawing and telling need to know of the state.
 * @typedef {object} Look
 * @property {number[]} ma @property {boolean} ema @property {boolean} bb @property {"" | "rsi" | "macd"} pane
 * @property {string[]} compare @property {"linear" | "log" | "percent"} scale percent, while others are compared
 * @property {string} symbol @property {string} mode @property {string} interval
 * @property {import("./format.js").Unit} unit @property {boolean} isIntraday
 */

export class Price {
  /**
   * @param {import("./state.js").Store} store
   * @param {object} parts
   * @param {import("./chart.js").Chart} parts.chart
   * @param {import("./requests.js").RequestLine} parts.requests
   * @param {(symbol: string) => import("./format.js").Unit} parts.unitOf
   * @param {(name: string, id: string, parts: object) => import("./loader.js").Loader} parts.loader
   * @param {() => void} parts.onView other bars are in view, and have been for a moment
   */
  constructor(store, { chart, requests, unitOf, loader, onView }) {
    Object.assign(this, { _store: store, _chart: chart, _requests: requests, _unitOf: unitOf, _onView: onView });
    Object.assign(this, { _held: undefined, _full: undefined, _pointedAt: undefined, _comparison: new Comparison() });
    this._edge = new AbortController();
    this._isAsking = false;
    Object.assign(this, { _retryAt: 0, _edgeFailure: "" });
    this._loader = loader("Bars", "chart-panel", {
      fetch: (state, signal, isRefresh) => this._fetch(state, signal, isRefresh),
      show: ({ data }, isRefresh) => this._show(data, isRefresh),
      canRefresh: () => this._held?.hasNewest ?? false,
      everyMs: LIVE_MS,
      onFailure: () => this.forget(),
    });
    this._settle = debounce((isMoved) => this._settled(isMoved), SETTLE_MS);
  }

  /** All bars that are held, with the columns of the indicators and tickers to compare. @returns {import("./api.js").Series | undefined} */
  get series() {
    if (!this._held) return undefined;
    const { bb, pane, compare } = this.look;
    const wanted = [bb && "bb", pane].filter(Boolean);
    const key = String([wanted, compare]);
    if (this._full?.of !== this._held || this._full.key !== key) {
      const { series } = this._held;
      const more = wanted.map((name) => INDICATORS[name](series.close));
      const columns = Object.assign({}, series, ...more, this._comparison.columns(compare, this._held));
      this._full = { of: this._held, key, columns };
    }
    return this._full.columns;
  }

  /** Day of the newest bar, as the API writes it; "" when that is not held. */
  get newestDay() {
    return this._held?.hasNewest ? this.series.time.at(-1).slice(0, 10) : "";
  }

  /** The newest bar there is. @returns {{at: number, interval: string} | undefined} none while it is not held */
  get newest() {
    return this._held?.hasNewest ? { at: this._held.series.at.at(-1), interval: this._held.what.interval } : undefined;
  }

  /** The bars in view. @returns {import("./api.js").Series | undefined} */
  get inView() {
    if (!this._held) return undefined;
    const [first, last] = this._chart.visible;
    return part(this.series, first, last + 1);
  }

  /** @returns {Look} */
  get look() {
    const { ma, ema, bb, pane, compare, symbol, mode, interval } = this._store.state;
    const scale = compare.length > 0 ? "percent" : this._store.state.scale;
    const { isIntraday } = INTERVALS.get(interval);
    return { ma, ema, bb, pane, compare, scale, symbol, mode, interval, unit: this._unitOf(symbol), isIntraday };
  }

  /** What the state asks for: another part of what is held, or other bars. Resolves to false when that was superseded. */
  async load() {
    const { state } = this._store;
    const isHeld = this._held && isSame(this._held.what, whatOf(state)) && this._covers(this._held, state);
    if (!isHeld) {
      this._edge.abort();
      return this._loader.load();
    }
    this._chart.place(this._placeIn(this._held, state));
    this._tell();
    return true;
  }

  /** With other averages or another scale: the same bars. */
  draw() {
    if (!this._held) return;
    this._chart.show(this.series, this.look);
    this._tell();
    this._loadComparison();
  }

  async _loadComparison() {
    const { compare } = this._store.state;
    const { reasons, urls = [] } = (await this._comparison.load(compare, this._held)) ?? {};
    if (reasons || compare.length === 0) this._requests.made("compare", ...urls);
    if (!reasons || !this._held) return;
    if (reasons.length > 0) announce(reasons.join("; "));
    this._full = undefined;
    this._chart.show(this.series, this.look);
    this._tell();
  }

  /** Of the bar under the crosshair, or for -1 the last one. */
  showPoint(index) {
    const series = this.series;
    this._pointedAt = series?.at[index];
    if (series) showReadout(byId("readout"), series, index < 0 ? series.at.length - 1 : index, { ...this.look, first: this._chart.visible[0] });
  }

  speak(index) {
    announce(spokenBar(this.series, index, this.look));
  }

  /** The view has changed. @param {boolean} isMoved by hand */
  viewChanged(isMoved) {
    if (!this._held) return;
    this._loadEdges();
    this._settle(isMoved);
  }

  /** The old ticker's numbers must not stand under the new one's name. */
  forgetTicker() {
    this._held = undefined;
    this._edge.abort();
    byId("readout").replaceChildren();
    byId("edge").textContent = "";
  }

  forget() {
    this.forgetTicker();
    this._chart.clear();
    byId("summary").textContent = "";
    showTable(byId("bars-table"), undefined, this.look);
  }

  async _fetch(state, signal, isRefresh) {
    if (isRefresh && this._held) {
      const answer = await latestBars(this._held, signal);
      if (answer.data) return answer;
    }
    return Promise.all([openBars(state, signal), this._chart.start(this.look.isIntraday)]).then(([answer]) => answer);
  }

  async _show(found, isRefresh) {
    if (found.newer) {
      this._extend(found.newer);
      this._loadEdges(); // what an outage has kept away
      this._loadComparison();
      return undefined;
    }
    const { state } = this._store;
    if (found.isTooMuch) return this._offerCoarser(state);
    const isShown = isRefresh && this._held !== undefined;
    const place = this._placeIn(found, state);
    if (!place && !isShown) {
      this.forget();
      return t("No {interval} bars of {symbol} in this range.", state);
    }
    this._held = found;
    this._chart.show(this.series, this.look, isShown ? undefined : place);
    this._tell();
    this._loadComparison();
    if (!isShown) announce(byId("summary").textContent);
    return undefined;
  }

  _extend(newer) {
    const { series } = this._held;
    const last = series.at.length - 1;
    const at = newer.at.indexOf(series.at[last]);
    const isSameBar = ["close", "high", "low", "volume"].every((name) => newer[name][at] === series[name][last]);
    if (isSameBar && at === newer.at.length - 1) return;
    this._held = { ...this._held, series: joined(series, newer) };
    this._chart.extend(this.series);
    this._tell();
  }

  /** The bars that the state wants in view; undefined when there is none. @returns {import("./chart.js").Place | undefined} */
  _placeIn({ series, hasNewest }, state) {
    const { from, to, interval, mode } = state;
    const last = (to ? positionFrom(series.at, lastStartOf(to, interval, mode) + 1) : series.at.length) - 1;
    const first = from ? positionFrom(series.at, startOf(from, mode)) : cut(series.at.slice(0, last + 1), rangeOf(state), mode);
    return first > last ? undefined : [this._fitPhone(first, last, state), last, hasNewest && last === series.at.length - 1];
  }

  /** Whether all that the state wants in view is held. */
  _covers(held, state) {
    const place = this._placeIn(held, state);
    return place !== undefined && (held.hasNewest || place[1] < held.series.at.length - 1) && (held.hasOldest || place[0] > 0);
  }

  _fitPhone(first, last, { range, from }) {
    const { width } = this._chart;
    return width > PHONE_PX || range || from ? first : Math.max(first, last + 1 - Math.floor(width / PHONE_BAR_PX));
  }

  _offerCoarser({ from, to, interval, mode }) {
    this.forget();
    const span = (to ? endOf(lastStartOf(to, interval, mode), interval) : marketNow(mode)) - startOf(from, mode);
    const better = coarser(span, mode);
    const onclick = () => this._store.update({ interval: better, from, to });
    const button = el("button", { type: "button", textContent: t("Show bars of {interval}", { interval: better }), onclick });
    const text = t("There are more than {count} bars of {interval}, too many for a chart.", { count: whole(MAX_BARS), interval });
    return { text, actions: [button] };
  }

  /** Bars before or after those that are held, when one comes near their end. */
  async _loadEdges() {
    const held = this._held;
    const [low, high] = this._chart.edges;
    const isOlder = low < EDGE_BARS && !held.hasOldest;
    const isNewer = high > held.series.at.length - EDGE_BARS && !held.hasNewest;
    byId("edge").textContent = this._edgeNote(low, isOlder, isNewer);
    if (this._isAsking || Date.now() < this._retryAt || !(isOlder || isNewer)) return;
    this._isAsking = true;
    this._edge = new AbortController();
    const { signal } = this._edge;
    try {
      const more = await (isOlder ? olderBars : newerBars)(held, signal);
      this._isAsking = false;
      if (!signal.aborted) this._grow(more, isOlder);
    } catch (error) {
      this._isAsking = false;
      if (signal.aborted) return;
      this._retryAt = Date.now() + RETRY_MS;
      this._edgeFailure = t(isOlder ? "Earlier bars: {reason}" : "Later bars: {reason}", { reason: error.message });
      byId("edge").textContent = this._edgeFailure;
    }
  }

  _edgeNote(low, isOlder, isNewer) {
    if ((isOlder || isNewer) && Date.now() < this._retryAt) return this._edgeFailure;
    if (isOlder) return t("Loading earlier bars\u2026");
    if (isNewer) return t("Loading later bars\u2026");
    return low < 0 && this._held.hasOldest ? t("No earlier bars") : "";
  }

  _grow({ series, ...ends }, isOlder) {
    const now = this._held.series;
    this._held = { ...this._held, ...ends, series: isOlder ? joined(series, now) : joined(now, series) };
    this._chart.grow(this.series);
    this._loadEdges();
    this._tell();
    this._loadComparison();
  }

  _settled(isMoved) {
    if (!this._held) return;
    if (isMoved) this._remember();
    this._tell();
    this._onView();
  }

  /** In the address, so that the view outlives a reload and can be sent to others. */
  _remember() {
    const { series, hasNewest } = this._held;
    const [first, last] = this._chart.visible;
    const text = (at) => series.time[at].slice(0, 16);
    this._store.moved(text(first), hasNewest && last === series.at.length - 1 ? "" : text(last));
  }

  _tell() {
    const { look, inView } = this;
    const [first, last] = [inView.time[0], inView.time.at(-1)];
    byId("summary").textContent = summary(inView, look);
    byId("chart").setAttribute("aria-label", t("Price chart of {symbol}, {count} bars of {interval}", { ...look, count: inView.at.length }));
    this.showPoint(this.series.at.indexOf(this._pointedAt)); // which may be another position now
    showTable(byId("bars-table"), inView, look);
    this._requests.made("bars", barsAddress(this._held.what, first, last));
  }
}
