/** The tickers one watches, kept in the browser's own storage, with their last price and change. */

import { fetchLast } from "./api.js";
import { toneOfDay } from "./bands.js";
import { byId, el, keepingFocus } from "./dom.js";
import { arrow, percent, price } from "./format.js";
import { t } from "./i18n.js";
import { tickerLink } from "./links.js";
import { MARKETS, unitOf } from "./markets.js";
import { isSymbol } from "./state.js";

const KEY = "watch";
const MOST = 50;

/** @typedef {{mode: string, symbol: string}} Watched */

export class WatchList {
  /**
   * @param {import("./state.js").Store} store
   * @param {object} parts
   * @param {(name: string, id: string, parts: object) => import("./loader.js").Loader} parts.loader
   * @param {number} parts.everyMs @param {(...urls: string[]) => void} parts.onRequests
   */
  constructor(store, { loader, everyMs, onRequests }) {
    Object.assign(this, { _store: store, _star: byId("star"), _onRequests: onRequests });
    this._loader = loader("Watch list", "watch-panel", {
      fetch: (_, signal) => fetchWatched(this._kept, signal),
      show: ({ data, urls }) => {
        onRequests(...urls);
        this._draw(data);
      },
      everyMs,
    });
    this._star.addEventListener("click", () => this._toggle(store.state));
    addEventListener("storage", ({ key }) => key === KEY && this.load()); // changed in another tab
    this.load();
  }

  load() {
    this._kept = stored();
    this.showStar();
    if (this._kept.length > 0) {
      this._loader.load();
      return;
    }
    this._onRequests();
    this._loader.settle(t("Nothing yet: the star beside a ticker puts it here."));
  }

  /** Whether the ticker that is shown is watched. */
  showStar() {
    const { symbol } = this._store.state;
    const isWatched = this._kept.some(isOne(this._store.state));
    this._star.setAttribute("aria-pressed", String(isWatched));
    this._star.textContent = isWatched ? "\u2605" : "\u2606";
    const label = t("Watch {symbol}", { symbol });
    this._star.setAttribute("aria-label", label);
    this._star.title = label;
  }

  _toggle({ mode, symbol }) {
    const isThis = isOne({ mode, symbol });
    const kept = this._kept.some(isThis) ? this._kept.filter((each) => !isThis(each)) : [...this._kept, { mode, symbol }];
    keep(kept.slice(-MOST));
    this.load();
  }

  _draw(bars) {
    const rows = this._kept.map((watched) => this._row(watched, bars.get(watched.mode)?.[watched.symbol]));
    keepingFocus(byId("watch"), () => byId("watch").replaceChildren(...rows));
  }

  _row({ mode, symbol }, bar) {
    const [close, change] = [bar?.close[0], bar?.close_changed[0]];
    const label = t("Watch {symbol} no more", { symbol });
    const remove = el("button", { type: "button", class: "remove", "aria-label": label, title: label, textContent: "\u00d7" });
    remove.addEventListener("click", () => this._toggle({ mode, symbol }));
    remove.dataset.key = `no ${symbol}`;
    const tone = toneOfDay(mode, symbol, close, change);
    return el(
      "li", {}, tickerLink(mode, symbol), el("span", { class: tone, textContent: price(close, unitOf(mode, symbol)) }),
      el("span", { class: `change ${tone}`, textContent: `${arrow(change)} ${percent(change)}`.trim() }), remove,
    );
  }
}

const isOne = ({ mode, symbol }) => (each) => each.mode === mode && each.symbol === symbol;

/** @returns {Watched[]} in the order in which they were added; whatever stands in the storage */
function stored() {
  let text;
  try {
    text = localStorage.getItem(KEY) ?? "";
  } catch {
    return []; // storage may be blocked
  }
  const pairs = text.split(" ").map((pair) => pair.split(":"));
  return pairs.filter(([mode, symbol]) => MARKETS.has(mode) && isSymbol(symbol ?? "")).map(([mode, symbol]) => ({ mode, symbol }));
}

function keep(list) {
  try {
    localStorage.setItem(KEY, list.map(({ mode, symbol }) => `${mode}:${symbol}`).join(" "));
  } catch {
    // Storage may be blocked: then nothing is watched.
  }
}

/** @param {Watched[]} list @returns {Promise<import("./api.js").Answer<Map<string, object>>>} last bars by symbol, by mode */
async function fetchWatched(list, signal) {
  const modes = [...new Set(list.map(({ mode }) => mode))];
  const asked = modes.map((mode) => {
    const symbols = list.filter((each) => each.mode === mode).map(({ symbol }) => symbol);
    return fetchLast(mode, symbols, signal, { isLive: true });
  });
  const answers = await Promise.all(asked);
  return { ...answers[0], urls: answers.map(({ url }) => url), data: new Map(modes.map((mode, at) => [mode, answers[at].data])) };
}
