/** The search of a ticker by symbol or name: a combobox with a list, as the ARIA Authoring Practices describe it. */

import { announce, el } from "./dom.js";
import { t } from "./i18n.js";
import { MARKETS } from "./markets.js";
import { isSymbol } from "./state.js";

const MOST = 12;
/** Where a slash is a character like any other. */
const TYPED_IN = "input:not([type=radio], [type=checkbox]), textarea";

/** Lower case without accents, so that "hoa phat" finds what is written with them. */
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").replaceAll("\u0111", "d").replaceAll("\u0110", "D").toLowerCase();

/** @typedef {{symbol: string, mode: string, name: string, text: string}} Entry `text`: the plain names */

/** @param {import("./listing.js").Ticker[]} tickers @returns {Entry[]} in the order of the symbols */
export function entriesOf(tickers) {
  const entries = tickers.map(({ symbol, mode, name, texts }) => ({ symbol, mode, name, text: plain(texts) }));
  return entries.sort((a, b) => (a.symbol < b.symbol ? -1 : 1));
}

/** The entries that fit, best first: the symbol or name itself, symbols that begin so, then words of names, then anywhere. */
export function search(entries, query) {
  const sought = plain(query.trim());
  if (!sought) return entries.slice(0, MOST);
  const rank = ({ symbol, text }) => {
    const code = symbol.toLowerCase();
    if (code === sought || text === sought) return 0;
    if (code.startsWith(sought)) return 1;
    if (text.startsWith(sought)) return 2;
    if (text.includes(` ${sought}`)) return 3;
    return code.includes(sought) || text.includes(sought) ? 4 : Infinity;
  };
  return entries
    .map((entry) => ({ entry, at: rank(entry) }))
    .filter(({ at }) => at < Infinity)
    .sort((a, b) => a.at - b.at)
    .slice(0, MOST)
    .map(({ entry }) => entry);
}

export class Typeahead {
  /** @param {HTMLInputElement} input @param {HTMLElement} list @param {(symbol: string, mode?: string) => void} onPick */
  constructor(input, list, onPick) {
    Object.assign(this, { _input: input, _list: list, _onPick: onPick, _entries: [], _found: [], _active: -1, _symbol: "" });
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => this._open(""));
    input.addEventListener("input", () => this._open(input.value));
    input.addEventListener("keydown", (event) => this._key(event));
    input.addEventListener("blur", () => this._leave());
    // Before the blur that a click would cause.
    list.addEventListener("pointerdown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this._pick(option.dataset);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPED_IN)) return;
      event.preventDefault();
      input.focus();
    });
  }

  /** @param {Entry[]} entries */
  set entries(entries) {
    this._entries = entries;
    if (!this._list.hidden) this._open(this._input.value);
  }

  /** The ticker that is shown now. */
  set symbol(symbol) {
    this._symbol = symbol;
    if (document.activeElement !== this._input || this._list.hidden) this._input.value = symbol;
  }

  _open(query) {
    this._found = search(this._entries, query);
    this._active = query && this._found.length > 0 ? 0 : -1;
    this._list.replaceChildren(...this._found.map((entry, at) => this._option(entry, at)));
    if (this._found.length === 0) {
      const textContent = t("No ticker like that; Enter tries it all the same");
      this._list.append(el("li", { class: "none", role: "presentation", textContent }));
      announce(textContent);
    }
    this._list.hidden = false;
    this._input.setAttribute("aria-expanded", "true");
    this._mark();
  }

  _option({ symbol, name, mode }, at) {
    const texts = [el("b", { textContent: symbol }), " ", el("span", { textContent: name })];
    if (MARKETS.size > 1) texts.push(" ", el("small", { textContent: t(MARKETS.get(mode).title) }));
    const option = el("li", { role: "option", id: `ticker-${at}` }, ...texts);
    Object.assign(option.dataset, { symbol, mode });
    return option;
  }

  _close() {
    this._list.hidden = true;
    this._active = -1;
    this._input.setAttribute("aria-expanded", "false");
    this._input.removeAttribute("aria-activedescendant");
  }

  _leave() {
    this._close();
    this._input.value = this._symbol;
  }

  _pick({ symbol, mode }) {
    this._symbol = symbol;
    this._leave();
    this._input.select();
    this._onPick(symbol, mode);
  }

  _mark() {
    const options = this._list.querySelectorAll("[role=option]");
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === this._active)));
    if (this._active < 0) {
      this._input.removeAttribute("aria-activedescendant");
      return;
    }
    this._input.setAttribute("aria-activedescendant", options[this._active].id);
    options[this._active].scrollIntoView({ block: "nearest" });
  }

  _key(event) {
    const handlers = {
      ArrowDown: () => this._step(1),
      ArrowUp: () => this._step(-1),
      Enter: () => this._enter(),
      Escape: () => this._escape(),
    };
    const handler = handlers[event.key];
    if (!handler || event.isComposing) return;
    event.preventDefault();
    handler();
  }

  _step(by) {
    if (this._list.hidden) {
      this._open("");
      return;
    }
    const count = this._found.length;
    if (count === 0) return;
    this._active = this._active < 0 ? (by > 0 ? 0 : count - 1) : (this._active + by + count) % count;
    this._mark();
  }

  /** The marked one, or what is written: the server may know a ticker that the lists do not. */
  _enter() {
    const written = this._input.value.trim().toUpperCase();
    const picked = this._active >= 0 ? this._found[this._active] : { symbol: written };
    if (isSymbol(picked.symbol)) this._pick(picked);
  }

  _escape() {
    if (this._list.hidden) this._input.blur();
    this._close();
    this._input.value = this._symbol;
  }
}
