/** Tickers as links: a click shows them here, and with a key held or the middle button in another tab. */

import { el } from "./dom.js";

/** A link to a ticker of a market. */
export function tickerLink(mode, symbol, title = "") {
  const link = el("a", { class: "ticker", href: `?${new URLSearchParams({ mode, symbol })}`, textContent: symbol, title });
  Object.assign(link.dataset, { mode, symbol, key: symbol });
  return link;
}

/** @param {import("./state.js").Store} store */
export function installLinks(store) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.ticker");
    if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const { mode, symbol } = link.dataset;
    store.update(mode === store.state.mode ? { symbol } : { mode, symbol });
  });
}
