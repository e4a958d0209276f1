/** What each panel of the page fetches, and how it shows the answer. */

import { fetchBars, fetchPerformers, fetchProfile, fetchQuote, fetchSectors } from "./api.js";
import { announce, byId } from "./dom.js";
import { isoDay } from "./format.js";
import { Loader, Panel } from "./loader.js";
import { showPerformers } from "./performers.js";
import { clearQuote, showQuote } from "./quote.js";
import { INTERVALS } from "./ranges.js";
import { showReadout, summary } from "./readout.js";
import { showSectors } from "./sectors.js";
import { showTable } from "./table.js";

export class Panels {
  /**
   * @param {() => import("./state.js").State} state the present one
   * @param {object} parts
   * @param {import("./chart.js").Chart} parts.chart @param {import("./profile.js").Profile} parts.profile
   * @param {import("./requests.js").RequestLine} parts.requests
   * @param {(symbol: string) => import("./format.js").Unit} parts.unitOf
   * @param {(patch: Partial<import("./state.js").State>, how?: object) => void} parts.choose
   */
  constructor(state, parts) {
    Object.assign(this, parts, { _state: state, bars: undefined, _quoteDay: "", _pointedAt: undefined, _performers: undefined, _sectors: undefined });
    this._failures = new Map(); // of refreshes, by panel
    this.quote = this._loader("Quote", "quote", { fetch: fetchQuote, show: (answer) => this._showQuote(answer) });
    this.price = this._loader("Bars", "chart-panel", {
      fetch: fetchBars,
      show: (answer, isRefresh) => this._showBars(answer, isRefresh),
      canRefresh: () => !state().to || state().to >= isoDay(Date.now()),
      onRequest: (url) => this.requests.made("bars", url),
      onFailure: () => this.forgetBars(),
    });
    this.volume = this._loader("Volume profile", "profile-panel", {
      fetch: (now, signal) => fetchProfile(now, this._span(), signal),
      show: (answer) => this._showProfile(answer),
      isEmpty: (error) => error.status === 404, // no minutes on that day: nothing went wrong
      onRequest: (url) => this.requests.made("profile", url),
      onFailure: () => this.profile.clear(),
    });
    this.performers = this._loader("Performers", "performers-panel", {
      fetch: fetchPerformers,
      show: (answer) => this._showPerformers(answer),
      onRequest: (url) => this.requests.made("performers", url),
    });
    this.sectors = this._loader("Sector strength", "sectors-panel", {
      fetch: fetchSectors,
      show: (answer) => this._showSectors(answer),
      onRequest: (url) => this.requests.made("sectors", url),
    });
  }

  /** Of the bar under the crosshair, or for -1 the last one. */
  showPoint(index) {
    this._pointedAt = this.bars?.at[index];
    if (this.bars) showReadout(byId("readout"), this.bars, index < 0 ? this.bars.at.length - 1 : index, this.look());
  }

  drawPerformers() {
    if (!this._performers) return;
    const { sort, symbol } = this._state();
    const how = { sort, symbol, unitOf: this.unitOf, onPick: (picked) => this.choose({ symbol: picked }) };
    showPerformers(byId("top"), this._performers.performers, how);
    showPerformers(byId("worst"), this._performers.worst_performers, how);
  }

  drawSectors() {
    if (!this._sectors) return;
    const { sector, symbol } = this._state();
    const onSector = (chosen) => this.choose({ sector: chosen }, { isMinor: true });
    showSectors(byId("sectors"), this._sectors, { sector, symbol, onSector, onSymbol: (chosen) => this.choose({ symbol: chosen }) });
  }

  /** With other averages: the same bars. */
  drawBars() {
    if (!this.bars) return;
    this.chart.redraw(this._state().ma);
    this._tell();
  }

  /** The old ticker's numbers must not stand under the new one's name. */
  forgetTicker() {
    this._quoteDay = "";
    this.bars = undefined;
    this.volume.expect();
    clearQuote();
    byId("readout").replaceChildren();
  }

  forgetBars() {
    this.bars = undefined;
    this.chart.clear();
    byId("readout").replaceChildren();
    byId("summary").textContent = "";
    showTable(byId("bars-table"), undefined, this.look());
  }

  /** What the chart, the readout and the table need to know of the state. */
  look() {
    const { ma, symbol, mode, interval } = this._state();
    return { ma, symbol, mode, interval, unit: this.unitOf(symbol), isIntraday: INTERVALS.get(interval).isIntraday };
  }

  /** Whether the last trading day is known. */
  get hasDay() {
    return this._quoteDay !== "";
  }

  loadProfile() {
    if (this._lastDay()) return this.volume.load();
    return this.volume.settle("Nothing to show without bars.");
  }

  _loader(name, id, { fetch, ...parts }) {
    return new Loader({
      name,
      panel: new Panel(byId(id)),
      fetch: (signal) => fetch(this._state(), signal),
      onSettled: (failure) => this._settled(id, failure),
      ...parts,
    });
  }

  /** One panel's success does not take back what another one could not do. */
  _settled(id, failure) {
    if (failure) this._failures.set(id, failure);
    else this._failures.delete(id);
    const [oldest] = this._failures.values();
    byId("updated").classList.toggle("stale", oldest !== undefined);
    byId("updated").textContent = oldest ? `Not refreshed: ${oldest}` : `Updated ${new Date().toTimeString().slice(0, 8)}`;
  }

  _showQuote({ data, source }) {
    this._quoteDay = data.time.at(-1) ?? "";
    if (!this._quoteDay) return "No daily bars.";
    showQuote(data, source, this.unitOf(this._state().symbol));
    return undefined;
  }

  async _showBars({ data }, isRefresh) {
    const { interval, symbol } = this._state();
    if (data.close.length === 0) {
      this.forgetBars();
      return `No ${interval} bars of ${symbol} in this range.`;
    }
    this.bars = data;
    this._tell();
    if (!isRefresh) announce(byId("summary").textContent);
    await this.chart.show(data, { ...this.look(), keepView: isRefresh });
    return undefined;
  }

  _tell() {
    const look = this.look();
    byId("summary").textContent = summary(this.bars, look);
    byId("chart").setAttribute("aria-label", `Price chart of ${look.symbol}, ${this.bars.at.length} bars of ${look.interval}`);
    this.showPoint(this.bars.at.indexOf(this._pointedAt)); // which may be another position now
    showTable(byId("bars-table"), this.bars, look);
  }

  async _showProfile({ data: { data } }) {
    if (data.profile.length === 0) return `No volume in the minutes of ${data.symbol} on that day.`;
    const isLevel = this._state().scope === "view" && this.bars;
    await this.profile.show(data, this.unitOf(data.symbol), isLevel ? this.chart.prices : undefined);
    return undefined;
  }

  _showPerformers({ data: { data, total_analyzed: total } }) {
    this._performers = data;
    this.drawPerformers();
    return total === 0 ? "No ticker with enough volume on that day." : undefined;
  }

  _showSectors({ data: { data } }) {
    this._sectors = data;
    this.drawSectors();
    return data.sectors.length === 0 ? "No sector has that average on that day." : undefined;
  }

  /** What the profile is of: the last trading day, or the days in view. */
  _span() {
    if (this._state().scope === "day" || !this.bars) return { date: this._lastDay() };
    const [first, last] = this.chart.visible.map((at) => this.bars.time[at].slice(0, 10));
    const { lengthMs, isIntraday } = INTERVALS.get(this._state().interval);
    // The last bar may be a week or a month: to its end. A month is taken for 28 days here, which leaves out a few at most.
    return { start_date: first, end_date: isIntraday ? last : isoDay(Date.parse(last) + lengthMs - 1) };
  }

  /** Day of the newest bar, as the API writes it; "" when there is none. */
  _lastDay() {
    return this._quoteDay || this.bars?.time.at(-1).slice(0, 10) || "";
  }
}
