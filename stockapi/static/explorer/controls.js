/** What one chooses with: the controls say what the state is, and change it. */

import { byId, chooseRadio, el, fillRadios, fillSelect } from "./dom.js";
import { sectorName } from "./format.js";
import { t } from "./i18n.js";
import { INTERVALS, rangeHint } from "./ranges.js";
import { AVERAGES, MOST_COMPARED, ROWS, SORTS, isDay, isSymbol, rangeOf } from "./state.js";

/** @param {import("./state.js").Store} store */
export function installControls(store) {
  fillSelect(byId("sort"), SORTS.map(([key, name]) => [key, t(name)]));
  fillSelect(byId("rows"), ROWS.map((rows) => [rows, rows]));
  fillSelect(byId("period"), AVERAGES.map((period) => [String(period), `MA${period}`]));

  const onChange = (id, patch, how) => byId(id).addEventListener("change", (event) => store.update(patch(event.target), how));
  const minor = { isMinor: true };
  onChange("market", ({ value }) => ({ mode: value }));
  onChange("interval", ({ value }) => ({ interval: value }));
  onChange("range", ({ value }) => ({ range: value }));
  onChange("scope", ({ value }) => ({ scope: value }), minor);
  onChange("sort", ({ value }) => ({ sort: value }), minor);
  onChange("sector", ({ value }) => ({ sector: value }), minor);
  onChange("rows", ({ value }) => ({ rows: value }), minor);
  onChange("period", ({ value }) => ({ period: value }), minor);
  onChange("averages", () => ({ ma: chosenAverages(), ema: byId("kind").value === "ema" }), minor);
  onChange("bb", ({ checked }) => ({ bb: checked }), minor);
  onChange("pane", ({ value }) => ({ pane: value }), minor);
  installComparison(store);
  onChange("scale", ({ value }) => ({ scale: value }), minor);
  onChange("day", ({ value }) => ({ date: isDay(value) ? value : "" }), minor);
  for (const id of ["from", "to"]) byId(id).addEventListener("change", () => store.update(chosenDates()));
}

/** A symbol and Enter adds it; a click on it takes it away again. */
function installComparison(store) {
  byId("compare").addEventListener("change", ({ target }) => {
    const symbol = target.value.trim().toUpperCase();
    const { compare } = store.state;
    target.value = "";
    if (isSymbol(symbol) && !compare.includes(symbol)) store.update({ compare: [...compare, symbol].slice(0, MOST_COMPARED) }, { isMinor: true });
  });
  byId("compared").addEventListener("click", ({ target }) => {
    const symbol = target.closest("button")?.dataset.key;
    if (symbol) store.update({ compare: store.state.compare.filter((each) => each !== symbol) }, { isMinor: true });
    byId("compare").focus();
  });
}

function showComparison({ compare }) {
  const button = (symbol, at) => {
    const node = el("button", { type: "button", class: `chip other${at + 1}`, "aria-label": t("Compare no more with {symbol}", { symbol }) }, symbol, " \u00d7");
    node.dataset.key = symbol;
    return node;
  };
  byId("compared").replaceChildren(...compare.map(button));
  byId("compare").disabled = compare.length >= MOST_COMPARED;
  byId("scale").disabled = compare.length > 0; // gains can only be compared in percent
}

function chosenAverages() {
  return [...byId("averages").querySelectorAll("[type=checkbox]:checked")].map((input) => Number(input.value));
}

/** Both days; of two that are the wrong way round, the other one gives way. */
function chosenDates() {
  const [from, to] = [byId("from").value, byId("to").value].map((value) => (isDay(value) ? value : ""));
  if (from && to && from > to) return document.activeElement === byId("from") ? { from, to: "" } : { from: "", to };
  return { from, to };
}

/** @param {import("./state.js").State} state */
export function showControls(state) {
  chooseRadio(byId("market"), state.mode);
  chooseRadio(byId("interval"), state.interval);
  const { ranges } = INTERVALS.get(state.interval);
  fillRadios(byId("range"), "range", ranges.map((range) => [range, range, rangeHint(range)]));
  chooseRadio(byId("range"), state.from || state.to ? "" : rangeOf(state));
  chooseRadio(byId("scope"), state.scope);
  for (const id of ["from", "to"]) byId(id).value = state[id].slice(0, 10);
  for (const id of ["scale", "sort", "rows", "period"]) byId(id).value = state[id];
  if (state.compare.length > 0) byId("scale").value = "percent";
  byId("bb").checked = state.bb;
  byId("pane").value = state.pane;
  showComparison(state);
  byId("kind").value = state.ema ? "ema" : "sma";
  byId("day").value = state.date;
  byId("sector").value = state.sector;
  for (const input of byId("averages").querySelectorAll("input")) input.checked = state.ma.includes(Number(input.value));
}

/** @param {string[]} sectors codes @param {string} chosen */
export function showSectorChoice(sectors, chosen) {
  const known = sectors.includes(chosen) || !chosen ? sectors : [...sectors, chosen];
  const options = known.map((code) => [code, sectorName(code)]).sort((a, b) => a[1].localeCompare(b[1]));
  fillSelect(byId("sector"), [["", t("All")], ...options]);
  byId("sector").value = chosen;
}
