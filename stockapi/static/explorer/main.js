/** The page: what changes in the state is fetched and shown, panel by panel. */

import { installChartInput } from "./chart-input.js";
import { Chart } from "./chart.js";
import { installControls, showControls, showSectorChoice } from "./controls.js";
import { byId } from "./dom.js";
import { clockName, sectorName } from "./format.js";
import { installLanguage, t } from "./i18n.js";
import { installLinks } from "./links.js";
import { exchangeOf, isIndex, unitOf } from "./markets.js";
import { Panels } from "./panels.js";
import { showName } from "./quote.js";
import { INTERVALS } from "./ranges.js";
import { RequestLine } from "./requests.js";
import { Store } from "./state.js";
import { installTakeAway } from "./take-away.js";
import { installTheme } from "./theme.js";
import { Typeahead, entriesOf } from "./typeahead.js";

/** What has to change for a panel to be loaded anew. */
const NEEDS = {
  quote: ["mode", "symbol"],
  bars: ["mode", "symbol", "interval", "range", "from", "to", "ema"],
  look: ["ma", "bb", "pane", "compare", "scale"],
  performers: ["mode", "sort", "sector", "date", "rows"],
  sectors: ["mode", "period", "date"],
  market: ["mode"],
};

/** How long the other panels wait for the chart. */
const PATIENCE_MS = 1_000;

const store = new Store(onChange);
const chart = new Chart(byId("chart"), {
  point: (index) => panels.price.showPoint(index),
  view: (isMoved) => panels.price.viewChanged(isMoved),
  reset: () => {
    store.reset();
    panels.price.load();
  },
});
const panels = new Panels(store, {
  chart,
  requests: new RequestLine(),
  onListing: (tickers) => {
    typeahead.entries = entriesOf(tickers);
    showTicker();
  },
  unitOf: (symbol) => unitOf(store.state.mode, symbol),
});
const typeahead = new Typeahead(byId("ticker"), byId("ticker-list"), (symbol, mode = store.state.mode) => store.update(mode === store.state.mode ? { symbol } : { mode, symbol }));

installControls(store);
installLinks(store);
installTakeAway(panels.price, chart);
installLanguage(byId("language"));
installTheme(byId("theme"), () => chart.redraw());
installChartInput(byId("chart"), byId("zoom"), chart, (index) => panels.price.speak(index));
onChange(store.state, new Set(Object.values(NEEDS).flat()));

/** @param {import("./state.js").State} state @param {Set<string>} changed keys of it */
function onChange(state, changed) {
  const needs = (panel) => NEEDS[panel].some((key) => changed.has(key));
  showControls(state);
  if (needs("quote")) panels.watchList.showStar();
  showTicker();
  if (needs("quote")) loadQuote();
  const drawn = needs("bars") && loadBars();
  if (!drawn && needs("look")) panels.price.draw();
  if (changed.has("scope")) panels.loadProfile();
  showBeside(needs, changed, drawn);
}

/** The panels that ask for something new wait for the chart, for it is what one looks at: a page does one thing at a time. */
async function showBeside(needs, changed, drawn) {
  const anew = [["performers", panels.performers], ["sectors", panels.sectors], ["market", panels.listing]].filter(([name]) => needs(name));
  if (!needs("performers") && changed.has("symbol")) panels.drawPerformers();
  if (!needs("sectors") && (changed.has("sector") || changed.has("symbol"))) panels.drawSectors();
  if (!needs("market") && (changed.has("sector") || changed.has("symbol"))) panels.drawHeat();
  for (const [, loader] of anew) loader.expect();
  if (drawn) await Promise.race([drawn, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  for (const [, loader] of anew) loader.load();
}

async function loadQuote() {
  panels.forgetTicker();
  if ((await panels.quote.load()) && store.state.scope === "day") panels.loadProfile();
}

async function loadBars() {
  if (!(await panels.price.load())) return;
  if (store.state.scope !== "day" || !panels.hasDay) panels.loadProfile();
}

function showTicker() {
  const { mode, symbol, sector, interval } = store.state;
  const { name, sector: own } = panels.ticker ?? {};
  const kind = isIndex(mode, symbol) ? t("Indices") : own && sectorName(own);
  const clock = INTERVALS.get(interval).isIntraday ? t("times in {clock}", { clock: clockName(mode) }) : "";
  showName(symbol, name, [kind, exchangeOf(mode, symbol), clock].filter(Boolean).join(" \u00b7 "));
  showSectorChoice(panels.sectorCodes, sector);
  typeahead.symbol = symbol;
  document.title = `${symbol} \u00b7 ${t("Market explorer")}`;
}
