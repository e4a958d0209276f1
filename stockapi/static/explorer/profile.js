/** The volume profile: how much was traded at which price. */

import { MARGIN } from "./chart.js";
import { fillFacts } from "./dom.js";
import { compact, money, price, share, whole } from "./format.js";
import { CONFIG, PRICE_PANE, baseAxis, baseLayout, plotly } from "./plots.js";
import { color } from "./theme.js";

const LABELS_PX = 92;
const BAR_SHARE = 0.82;
const LABEL_GAP = 0.06;  // of the axis: labels nearer than that would touch

export class Profile {
  /** @param {HTMLElement} root @param {HTMLElement} facts a <dl> */
  constructor(root, facts) {
    this._root = root;
    this._facts = facts;
    new ResizeObserver(() => this._data && this._library.Plots.resize(this._root)).observe(root);
  }

  /**
   * @param {object} data of /analysis/volume-profile
   * @param {import("./format.js").Unit} unit
   * @param {[number, number]} [prices] the chart's price axis, to keep level with; without it, the profile's own
   */
  async show(data, unit, prices) {
    this._library = await plotly();
    Object.assign(this, { _data: data, _unit: unit, _prices: prices });
    this._draw();
    this._tell();
  }

  redraw() {
    if (this._data) this._draw();
  }

  /** Keep level with the chart's price axis. @param {[number, number]} prices */
  level(prices) {
    if (!this._data || !this._prices) return;
    this._prices = prices;
    this._draw();
  }

  clear() {
    this._data = undefined;
    this._facts.replaceChildren();
    if (this._library) this._library.react(this._root, [], baseLayout(), CONFIG);
  }

  _draw() {
    this._library.react(this._root, [this._trace()], this._layout(), CONFIG);
  }

  _trace() {
    const { profile } = this._data;
    const step = this._binSize();
    return {
      type: "bar",
      orientation: "h",
      x: profile.map((bin) => bin.volume),
      y: profile.map((bin) => bin.price),
      width: step * BAR_SHARE,
      marker: { color: profile.map((bin) => this._tone(bin, step)), line: { width: 0 } },
      text: profile.map((bin) => `${price(bin.price, this._unit)}: ${compact(bin.volume)}, ${share(bin.percentage)}`),
      textposition: "none",
      hovertemplate: "%{text}<extra></extra>",
    };
  }

  _binSize() {
    const { profile, price_range: range } = this._data;
    return profile.length > 1 ? (profile.at(-1).price - profile[0].price) / (profile.length - 1) : range.spread || 1;
  }

  _tone(bin, step) {
    const { poc, value_area: area } = this._data;
    if (Math.abs(bin.price - poc.price) <= step / 2) return color("poc");
    return bin.price + step / 2 >= area.low && bin.price - step / 2 <= area.high ? color("area") : color("rest");
  }

  _layout() {
    const axis = baseAxis();
    const { price_range: range } = this._data;
    const room = Math.max(range.spread * 0.05, this._binSize());
    const ends = this._prices ?? [range.low - room, range.high + room];
    const levels = this._levels();
    return {
      ...baseLayout(),
      margin: { ...MARGIN, l: 4, r: LABELS_PX },
      bargap: 0,
      dragmode: false,
      hovermode: "y",
      hoverlabel: { bgcolor: color("panel"), bordercolor: color("border"), font: { color: color("text"), size: 12 } },
      // A bar may be drawn a hair wider than the plot is; the most voluminous one touches 95 % of it.
      xaxis: { ...axis, visible: false, range: [0, Math.max(...this._data.profile.map((bin) => bin.volume)) / 0.95] },
      yaxis: { ...axis, side: "right", domain: PRICE_PANE, range: ends, showticklabels: false, showgrid: false, showline: false },
      shapes: levels.map(({ at, tone, dash }) => ({
        type: "line", xref: "paper", x0: 0, x1: 1, y0: at, y1: at, line: { color: tone, width: 1, dash },
      })),
      annotations: labelPlaces(levels, ends).map(({ name, at, y, tone }) => ({
        xref: "paper", x: 1, xanchor: "left", xshift: 4, y, yanchor: "middle", showarrow: false, align: "left",
        text: `${name} ${price(at, this._unit)}`, font: { color: tone, size: 10 },
      })),
    };
  }

  _levels() {
    const { poc, value_area: area } = this._data;
    return [
      { name: "VAH", at: area.high, tone: color("text"), dash: "dot" },
      { name: "POC", at: poc.price, tone: color("poc-text"), dash: "solid" },
      { name: "VAL", at: area.low, tone: color("text"), dash: "dot" },
    ];
  }

  _tell() {
    const { poc, value_area: area, total_volume: volume, total_minutes: minutes } = this._data;
    fillFacts(this._facts, [
      ["Point of control", `${money(poc.price, this._unit)} (${share(poc.percentage)})`],
      ["Value area", `${price(area.low, this._unit)} \u2013 ${price(area.high, this._unit)} (${share(area.percentage)})`],
      ["Volume", `${compact(volume)} in ${whole(minutes)} minutes`],
    ]);
  }
}

/** Where the labels stand: at their levels, pushed apart where they would touch, and inside the axis. */
function labelPlaces(levels, [low, high]) {
  const gap = (high - low) * LABEL_GAP;
  const inside = levels.filter(({ at }) => at >= low && at <= high).map((level) => ({ ...level, y: level.at }));
  for (let i = 1; i < inside.length; i += 1) inside[i].y = Math.min(inside[i].y, inside[i - 1].y - gap);
  return inside;
}
