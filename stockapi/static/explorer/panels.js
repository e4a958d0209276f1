/** What the panels beside the chart fetch, and how they show the answers. */

import { fetchPerformers, fetchProfile, fetchQuote, fetchSectors } from "./api.js";
import { ageOf } from "./age.js";
import { showControls } from "./controls.js";
import { byId } from "./dom.js";
import { barTime, dayText, isoDay, marketNow } from "./format.js";
import { t } from "./i18n.js";
import { showHeatMap } from "./heat-map.js";
import { fetchListing, keyOf } from "./listing.js";
import { Loader, Panel } from "./loader.js";
import { showRankings } from "./performers.js";
import { Price } from "./price.js";
import { showProfileFacts } from "./profile.js";
import { clearQuote, showQuote } from "./quote.js";
import { INTERVALS } from "./ranges.js";
import { showSectors } from "./sectors.js";
import { WatchList } from "./watch.js";

const LIVE_MS = 5_000;

export class Panels {
  /**
   * @param {import("./state.js").Store} store
   * @param {object} parts
   * @param {import("./chart.js").Chart} parts.chart
   * @param {import("./requests.js").RequestLine} parts.requests
   * @param {(tickers: import("./listing.js").Ticker[]) => void} parts.onListing what there is has become known
   * @param {(symbol: string) => import("./format.js").Unit} parts.unitOf
   */
  constructor(store, { chart, requests, onListing, unitOf }) {
    Object.assign(this, { _store: store, _chart: chart, _unitOf: unitOf, _quoteDay: "", _performers: undefined, _sectors: undefined });
    this._failures = new Map(); // of refreshes, by panel
    const loader = (name, id, parts) => this._loader(name, id, parts);
    this.price = new Price(store, { chart, requests, unitOf, loader, onView: () => this._viewSettled() });
    this.quote = loader("Quote", "quote", { fetch: fetchQuote, show: (answer) => this._showQuote(answer), everyMs: LIVE_MS, onRequest: (url) => requests.made("quote", url) });
    this.volume = loader("Volume profile", "profile-panel", {
      fetch: (now, signal) => fetchProfile(now, this._span(), signal),
      show: (answer) => this._showProfile(answer),
      emptyText: (error) => (error.status === 404 ? this._noMinutes() : ""),
      onRequest: (url) => requests.made("profile", url),
      onFailure: () => this._clearProfile(),
    });
    this.performers = loader("Performers", "performers-panel", {
      fetch: fetchPerformers,
      show: (answer) => this._showPerformers(answer),
      onRequest: (url) => requests.made("performers", url),
    });
    this.sectors = loader("Sector strength", "sectors-panel", {
      fetch: fetchSectors,
      show: (answer) => this._showSectors(answer),
      onRequest: (url) => requests.made("sectors", url),
    });
    /** @type {import("./listing.js").Listing} */
    this._listing = { tickers: new Map(), traded: [] };
    this.listing = loader("Heat map", "heat-panel", {
      fetch: ({ mode }, signal) => fetchListing(mode, signal),
      show: ({ data }) => {
        this._listing = data;
        onListing([...data.tickers.values()]);
        return this.drawHeat() > 0 ? undefined : t("Nothing was traded on the newest day.");
      },
      onRequest: (url) => requests.made("listing", url),
    });
    this.watchList = new WatchList(store, { loader, everyMs: LIVE_MS, onRequests: (...urls) => requests.made("watch", ...urls) });
  }

  /** What is known of the ticker that is shown. @returns {import("./listing.js").Ticker | undefined} */
  get ticker() {
    return this._listing.tickers.get(keyOf(this._store.state));
  }

  /** Codes of the sectors of the market that is shown. @returns {string[]} none until they are known */
  get sectorCodes() {
    const own = [...this._listing.tickers.values()].filter(({ mode, sector }) => mode === this._store.state.mode && sector);
    return [...new Set(own.map(({ sector }) => sector))];
  }

  /** @returns {number} of how many tiles */
  drawHeat() {
    const { sector, symbol, mode } = this._store.state;
    const onSector = (chosen) => this._store.update({ sector: chosen }, { isMinor: true });
    const traded = this._listing.traded.filter((each) => each.mode === mode);
    return showHeatMap(traded, mode, { sector, symbol, onSector, onSymbol: (chosen) => this._store.update({ symbol: chosen }) });
  }

  drawPerformers() {
    if (!this._performers) return;
    const { sort, mode, symbol } = this._store.state;
    const how = { sort, mode, symbol, unitOf: this._unitOf, onPick: (picked) => this._store.update({ symbol: picked }) };
    showRankings(byId("top"), byId("worst"), this._performers, how);
  }

  drawSectors() {
    if (!this._sectors) return;
    const { sector, symbol } = this._store.state;
    const onSector = (chosen) => this._store.update({ sector: chosen }, { isMinor: true });
    showSectors(byId("sectors"), this._sectors, { sector, symbol, onSector, onSymbol: (chosen) => this._store.update({ symbol: chosen }) });
  }

  /** The old ticker's numbers must not stand under the new one's name. */
  forgetTicker() {
    Object.assign(this, { _quoteDay: "", _quoteAt: undefined });
    byId("as-of").textContent = "";
    this.price.forgetTicker();
    this.volume.expect();
    clearQuote();
  }

  /** Whether the last trading day is known. */
  get hasDay() {
    return this._quoteDay !== "";
  }

  loadProfile() {
    if (this._store.state.scope === "off") {
      this._clearProfile();
      return this.volume.settle(t("Not shown."));
    }
    if (this._lastDay()) return this.volume.load();
    return this.volume.settle(t("Nothing to show without bars."));
  }

  _loader(name, id, { fetch, ...parts }) {
    return new Loader({
      name,
      panel: new Panel(byId(id)),
      fetch: (signal, isRefresh) => fetch(this._store.state, signal, isRefresh),
      onRequest: () => {},
      onSettled: (failure) => this._settled(id, failure),
      ...parts,
    });
  }

  /** One panel's success does not take back what another one could not do. */
  _settled(id, failure) {
    if (failure) this._failures.set(id, failure);
    else this._failures.delete(id);
    const [oldest] = this._failures.values();
    const text = oldest ? t("Not refreshed: {reason}", { reason: oldest }) : "";
    if (byId("updated").textContent !== text) byId("updated").textContent = text;
    this._tellAge(oldest !== undefined);
  }

  /** Of when the newest bar is, and whether it is as new as it could be. */
  _tellAge(isCutOff) {
    const newest = this.price.newest ?? (this._quoteAt && { at: this._quoteAt, interval: "1D" });
    const { mode } = this._store.state;
    const { isForming, isLate } = newest ? ageOf(newest.at, newest.interval, mode, marketNow(mode)) : {};
    const isStale = Boolean(newest && (isLate || isCutOff));
    const said = isForming ? "As of {time}, still forming" : isLate ? "As of {time}, nothing newer since" : "As of {time}, complete";
    const time = newest && barTime(newest.at, INTERVALS.get(newest.interval).isIntraday);
    byId("as-of").textContent = newest ? t(said, { time }) : "";
    for (const id of ["quote", "chart-panel"]) byId(id).classList.toggle("stale", isStale);
  }

  _viewSettled() {
    showControls(this._store.state); // one may have moved away from the range that was chosen
    if (this._store.state.scope === "view") this.volume.load();
  }

  _showQuote({ data, source }) {
    this._quoteDay = data.time.at(-1) ?? "";
    this._quoteAt = data.at.at(-1);
    if (!this._quoteDay) return t("No daily bars.");
    const { mode, symbol } = this._store.state;
    showQuote(data, source, { mode, symbol, unit: this._unitOf(symbol) });
    return undefined;
  }

  async _showProfile({ data: { data, analysis_date: days } }) {
    if (data.profile.length === 0) return t("No volume in the minutes of {symbol} on that day.", data);
    await this._chart.start(this.price.look.isIntraday);
    this._chart.profile.show(data);
    showProfileFacts(byId("profile-facts"), data, daysText(days), this._unitOf(data.symbol));
    return undefined;
  }

  _clearProfile() {
    this._chart.profile.show(undefined);
    byId("profile-facts").replaceChildren();
  }

  _showPerformers({ data: { data, total_analyzed: total } }) {
    this._performers = data;
    this.drawPerformers();
    return total === 0 ? t("No ticker with enough volume on that day.") : undefined;
  }

  _showSectors({ data: { data } }) {
    this._sectors = data;
    this.drawSectors();
    return data.sectors.length === 0 ? t("No sector has that average on that day.") : undefined;
  }

  /** Nothing went wrong: of old days only hours and days are kept. */
  _noMinutes() {
    const { date, start_date: first = date, end_date: last = date } = this._span();
    return t("No minutes of {symbol} are stored for {days}.", { symbol: this._store.state.symbol, days: daysText(`${first} ${last}`) });
  }

  /** What the profile is of: the last trading day, or the days in view. */
  _span() {
    const { scope, interval } = this._store.state;
    const inView = this.price.inView;
    if (scope === "day" || !inView) return { date: this._lastDay() };
    const [first, last] = [inView.time[0], inView.time.at(-1)].map((time) => time.slice(0, 10));
    const { lengthMs, isIntraday } = INTERVALS.get(interval);
    if (first === last && isIntraday) return { date: last };
    // The last bar may be a week or a month: to its end. A month is taken for 28 days here, which leaves out a few at most.
    return { start_date: first, end_date: isIntraday ? last : isoDay(Date.parse(last) + lengthMs - 1) };
  }

  /** Day of the newest bar, as the API writes it; "" when there is none. */
  _lastDay() {
    return this._quoteDay || this.price.newestDay;
  }
}

/** The day or the days that an answer is of, written out. @param {string} days `2026-10-01`, or two of them with something between */
function daysText(days) {
  const found = days.match(/\d{4}-\d\d-\d\d/g) ?? [];
  return [...new Set(found)].map((day) => dayText(Date.parse(day))).join(" \u2013 ");
}
