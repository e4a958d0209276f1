/** The page: what changes in the state is fetched and shown, panel by panel. */

import { fetchGroups, fetchNames } from "./api.js";
import { installChartInput } from "./chart-input.js";
import { Chart } from "./chart.js";
import { installControls, showControls, showSectorChoice } from "./controls.js";
import { announce, byId, debounce, el } from "./dom.js";
import { clockName, sectorName } from "./format.js";
import { MARKETS } from "./markets.js";
import { Panels } from "./panels.js";
import { Profile } from "./profile.js";
import { showName } from "./quote.js";
import { INTERVALS, MAX_BARS, coarser, estimate } from "./ranges.js";
import { spokenBar } from "./readout.js";
import { RequestLine } from "./requests.js";
import { Store } from "./state.js";
import { installTheme } from "./theme.js";
import { Typeahead, entriesOf } from "./typeahead.js";

const PAN_SETTLE_MS = 400;
const INDEX_GROUP = "INDEX";

/** What has to change for a panel to be loaded anew. */
const NEEDS = {
  quote: ["mode", "symbol"],
  bars: ["mode", "symbol", "interval", "range", "from", "to"],
  performers: ["mode", "sort", "sector", "date", "rows"],
  sectors: ["mode", "period", "date"],
  market: ["mode"],
};

/** Names and sectors of the market that is shown, once they are known. */
let market = { names: {}, groups: {} };
let marketRequest = new AbortController();

const store = new Store(onChange);
const chart = new Chart(byId("chart"), { point: (index) => panels.showPoint(index), view: onView });
const profile = new Profile(byId("profile"), byId("profile-facts"));
const panels = new Panels(() => store.state, {
  chart,
  profile,
  requests: new RequestLine(),
  unitOf,
  choose: (patch, how) => store.update(patch, how),
});
const typeahead = new Typeahead(byId("ticker"), byId("ticker-list"), (symbol) => store.update({ symbol }));
const loadProfileSoon = debounce(() => store.state.scope === "view" && panels.loadProfile(), PAN_SETTLE_MS);

installControls(store);
installTheme(byId("theme"), () => {
  chart.redraw();
  profile.redraw();
});
installChartInput(byId("chart"), byId("zoom"), chart, (index) => announce(spokenBar(panels.bars, index, panels.look())));
onChange(store.state, new Set(Object.values(NEEDS).flat()));

/** @param {import("./state.js").State} state @param {Set<string>} changed keys of it */
function onChange(state, changed) {
  const needs = (panel) => NEEDS[panel].some((key) => changed.has(key));
  showControls(state);
  if (needs("market")) loadMarket(state.mode);
  showTicker();
  if (needs("quote")) loadQuote();
  if (needs("bars")) loadBars(state);
  else if (changed.has("ma")) panels.drawBars();
  if (changed.has("scope")) panels.loadProfile();
  if (needs("performers")) panels.performers.load();
  else if (changed.has("symbol")) panels.drawPerformers();
  if (needs("sectors")) panels.sectors.load();
  else if (changed.has("sector") || changed.has("symbol")) panels.drawSectors();
}

/** @returns {import("./format.js").Unit} */
function unitOf(symbol) {
  const { indices, unit } = MARKETS.get(store.state.mode);
  return indices.includes(symbol) ? "points" : unit;
}

async function loadQuote() {
  panels.forgetTicker();
  if ((await panels.quote.load()) && store.state.scope === "day") panels.loadProfile();
}

async function loadBars({ from, to, interval, mode }) {
  const count = from ? estimate(from, to, interval, mode) : 0;
  if (count > MAX_BARS) {
    panels.forgetBars();
    const better = coarser(from, to, mode);
    const onclick = () => store.update({ interval: better, from, to });
    const button = el("button", { type: "button", textContent: `Show bars of ${better}`, onclick });
    panels.price.settle(`That would be some ${count.toLocaleString("en-US")} bars of ${interval}, too many for a chart.`, button);
  } else if (!(await panels.price.load())) {
    return;
  }
  if (store.state.scope === "view" || !panels.hasDay) panels.loadProfile();
}

/** Other bars are in view now. */
function onView() {
  if (store.state.scope !== "view") return;
  profile.level(chart.prices);
  loadProfileSoon();
}

/** Names and sectors help, but nothing waits for them, and nothing fails without them. */
async function loadMarket(mode) {
  marketRequest.abort();
  marketRequest = new AbortController();
  const { signal } = marketRequest;
  market = { names: {}, groups: {} };
  const answers = await Promise.allSettled([fetchNames(mode, signal), fetchGroups(mode, signal)]);
  if (signal.aborted) return;
  const [names, groups] = answers.map(({ value }) => value?.data ?? {});
  market = { names, groups };
  typeahead.entries = entriesOf(names, Object.values(groups).flat());
  showTicker();
}

function showTicker() {
  const { mode, symbol, sector, interval } = store.state;
  const group = Object.keys(market.groups).find((name) => market.groups[name].includes(symbol));
  const clock = INTERVALS.get(interval).isIntraday ? `times in ${clockName(mode)}` : "";
  showName(symbol, market.names[symbol], [group && sectorName(group), clock].filter(Boolean).join(" \u00b7 "));
  showSectorChoice(Object.keys(market.groups).filter((name) => name !== INDEX_GROUP), sector);
  typeahead.symbol = symbol;
  document.title = `${symbol} \u00b7 Market explorer`;
}
