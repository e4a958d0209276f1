/** The candlestick chart: bars, volume, averages; zoom, pan and the crosshair. */

import { price } from "./format.js";
import { CONFIG, PRICE_PANE, VOLUME_PANE, baseAxis, baseLayout, plotly } from "./plots.js";
import { color } from "./theme.js";
import { timeTicks } from "./ticks.js";

/** Pixels around the plot. The profile beside it has the same above and below. */
export const MARGIN = { t: 6, b: 24, l: 8 };
const DIGIT_PX = 7;
const LABEL_ROOM_PX = 15;
const ROOM = 0.05;  // of the visible prices, above and below them
const FEWEST_BARS = 8;
const ZOOM_STEP = 1.4;
const PAN_STEP = 0.25;

export class Chart {
  /**
   * @param {HTMLElement} root
   * @param {object} on
   * @param {(index: number) => void} on.point a bar under the pointer or chosen by key; -1 for none
   * @param {() => void} on.view the visible bars have changed
   */
  constructor(root, on) {
    this._root = root;
    this._on = on;
    this._series = undefined;
    this._range = [0, 1];
    new ResizeObserver(() => this._series && this._resize()).observe(root);
  }

  /** How many bars there are. */
  get count() {
    return this._series?.at.length ?? 0;
  }

  /** Positions of the first and last bar in view. */
  get visible() {
    const last = this._series.at.length - 1;
    return [Math.min(last, Math.max(0, Math.ceil(this._range[0]))), Math.max(0, Math.min(last, Math.floor(this._range[1])))];
  }

  /** The bar at this distance in pixels from the left edge. */
  indexAt(left) {
    const [low, high] = this._range;
    const at = Math.round(low + ((left - MARGIN.l) / this._plotWidth()) * (high - low));
    return Math.min(this.visible[1], Math.max(this.visible[0], at));
  }

  /** Lowest and highest price in view. */
  get prices() {
    return this._priceRange();
  }

  /**
   * @param {import("./api.js").Series} series
   * @param {{ma: number[], unit: import("./format.js").Unit, keepView: boolean}} how
   */
  async show(series, { ma, unit, keepView }) {
    const library = await plotly();
    const isFirst = !this._library;
    const range = keepView && this._series ? this._kept(series) : undefined;
    Object.assign(this, { _library: library, _series: series, _ma: ma, _unit: unit });
    this._range = range ?? this._all();
    await this._draw();
    if (isFirst) this._listen();
  }

  /** Anew with the same bars, in the colours of the theme. */
  redraw(ma = this._ma) {
    this._ma = ma;
    if (this._series) this._draw();
  }

  /** @param {"left" | "right" | "in" | "out" | "reset"} how */
  move(how) {
    if (!this._series) return;
    const [low, high] = this._range;
    const width = high - low;
    const middle = (low + high) / 2;
    const zoomed = (size) => [middle - size / 2, middle + size / 2];
    const target = {
      left: () => [low - width * PAN_STEP, high - width * PAN_STEP],
      right: () => [low + width * PAN_STEP, high + width * PAN_STEP],
      in: () => zoomed(width / ZOOM_STEP),
      out: () => zoomed(width * ZOOM_STEP),
      reset: () => this._all(),
    }[how]();
    this._look(target);
  }

  /** Put the crosshair on a bar, bringing it into view; -1 takes it away. */
  point(index) {
    if (index < 0) {
      this._library?.Fx.unhover(this._root);
      return;
    }
    const [low, high] = this._range;
    if (index < low || index > high) {
      const shift = index < low ? index - low - 0.5 : index - high + 0.5;
      this._look([low + shift, high + shift]);
    }
    this._library.Fx.hover(this._root, { xval: index, yval: this._series.close[index] }, "xy");
    this._on.point(index);
  }

  clear() {
    this._series = undefined;
    this._range = [0, -1];
    if (this._library) this._library.react(this._root, [], baseLayout(), CONFIG);
  }

  /** The view after a refresh: who looks at the newest bar goes on to, who has panned away keeps what is in view. */
  _kept(series) {
    const [low, high] = this._range;
    const last = this.visible[1];
    const seesNewest = last === this._series.at.length - 1;
    const now = seesNewest ? series.at.length - 1 : series.at.indexOf(this._series.at[last]);
    return now < 0 ? undefined : [low + now - last, high + now - last];
  }

  _all() {
    return [-0.75, this._series.at.length - 0.25];
  }

  /** As many bars as are in view, around another middle. */
  _shifted(middle) {
    const half = (this._range[1] - this._range[0]) / 2;
    return [middle - half, middle + half];
  }

  /** Show these positions, as far as there are bars. */
  _look([low, high]) {
    if (!this._series) return;
    const [start, end] = this._all();
    const width = Math.min(end - start, Math.max(FEWEST_BARS, high - low));
    const from = Math.min(Math.max(start, (low + high - width) / 2), end - width);
    this._range = [from, from + width];
    this._library.relayout(this._root, this._viewUpdate());
    this._on.view();
  }

  /** What follows from the visible positions: labels, and the price and volume axes that fit the bars in view. */
  _viewUpdate() {
    const ticks = timeTicks(this._series.at, ...this._range, this._plotWidth());
    return {
      "xaxis.range": [...this._range], // the library changes its own while one drags
      "xaxis.tickvals": ticks.tickvals,
      "xaxis.ticktext": ticks.ticktext,
      "yaxis.range": this._priceRange(),
      "yaxis2.range": [0, this._most("volume") * 1.05 || 1],
    };
  }

  _plotWidth() {
    return Math.max(100, this._root.clientWidth - MARGIN.l - this._labelWidth());
  }

  /** Room for the prices to the right of the plot: those of some coins have many digits. */
  _labelWidth() {
    return LABEL_ROOM_PX + DIGIT_PX * Math.max(6, price(this._series.close.at(-1), this._unit).length);
  }

  _most(name) {
    const [first, last] = this.visible;
    let most = 0;
    for (let at = first; at <= last; at += 1) most = Math.max(most, this._series[name][at]);
    return most;
  }

  _priceRange() {
    const { low, high } = this._series;
    const [first, last] = this.visible;
    let [least, most] = [Infinity, -Infinity];
    const lines = this._ma.map((period) => this._series[`ma${period}`]);
    for (let at = first; at <= last; at += 1) {
      least = Math.min(least, low[at], ...lines.map((line) => line[at] ?? Infinity));
      most = Math.max(most, high[at], ...lines.map((line) => line[at] ?? -Infinity));
    }
    const room = (most - least || most * 0.01 || 1) * ROOM;
    return [least - room, most + room];
  }

  async _draw() {
    await this._library.react(this._root, this._traces(), this._layout(), { ...CONFIG, scrollZoom: true });
  }

  _traces() {
    const { open, high, low, close, volume } = this._series;
    const x = close.map((_, at) => at);
    const [up, down] = [color("up"), color("down")];
    const silent = { x, hoverinfo: "none" };  // the readout says it; "skip" would mute the events too
    return [
      {
        ...silent,
        type: "candlestick",
        open, high, low, close,
        increasing: { line: { color: up, width: 1 }, fillcolor: color("up-body") },
        decreasing: { line: { color: down, width: 1 }, fillcolor: down },
        whiskerwidth: 0,
      },
      {
        ...silent,
        type: "bar",
        y: volume,
        yaxis: "y2",
        marker: { color: close.map((value, at) => (value >= open[at] ? up : down)), opacity: 0.55, line: { width: 0 } },
      },
      ...this._ma.map((period) => ({
        ...silent,
        type: "scatter",
        mode: "lines",
        y: this._series[`ma${period}`],
        line: { color: color(`ma${period}`), width: 1.4 },
        hoverinfo: "skip",
      })),
    ];
  }

  _layout() {
    const axis = baseAxis();
    const view = this._viewUpdate();
    const spike = { spikecolor: color("muted"), spikethickness: 1, spikedash: "dot" };
    return {
      ...baseLayout(),
      margin: { ...MARGIN, r: this._labelWidth() },
      dragmode: "pan",
      xaxis: {
        ...axis, ...spike,
        anchor: "y2",
        range: view["xaxis.range"],
        fixedrange: false,
        minallowed: this._all()[0],
        maxallowed: this._all()[1],
        tickmode: "array",
        tickvals: view["xaxis.tickvals"],
        ticktext: view["xaxis.ticktext"],
        tickangle: 0,
        rangeslider: { visible: false },
        showspikes: true,
        spikemode: "across",
        spikesnap: "hovered data",
      },
      yaxis: { ...axis, side: "right", domain: PRICE_PANE, range: view["yaxis.range"], nticks: 9, tickformat: this._tickFormat() },
      yaxis2: { ...axis, side: "right", domain: VOLUME_PANE, range: view["yaxis2.range"], nticks: 3, exponentformat: "B" },
      ...this._lastPrice(),
    };
  }

  _tickFormat() {
    if (this._unit === "dong") return ",.0f";
    const [low, high] = this._priceRange();
    const decimals = Math.max(0, 2 - Math.floor(Math.log10(high - low || 1)));
    return `,.${Math.min(10, decimals)}f`;
  }

  /** A line at the last close, and its price on the axis. */
  _lastPrice() {
    const { open, close } = this._series;
    const last = close.at(-1);
    const tone = color(last >= open.at(-1) ? "up" : "down");
    return {
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: last, y1: last, line: { color: tone, width: 1, dash: "dot" } }],
      annotations: [
        {
          xref: "paper", x: 1, xanchor: "left", y: last, yanchor: "middle",
          text: price(last, this._unit),
          showarrow: false,
          font: { color: color("on-tone"), size: 11 },
          bgcolor: tone,
          borderpad: 3,
        },
      ],
    };
  }

  _listen() {
    this._root.on("plotly_hover", (event) => this._on.point(event.points[0].pointNumber));
    this._root.on("plotly_unhover", () => this._on.point(-1));
    this._root.on("plotly_doubleclick", () => this.move("reset"));
    // A drag past the first or last bar is cut short by the library at that end only, which would zoom in.
    let isDrag = false;
    this._root.addEventListener("pointerdown", () => (isDrag = true), { capture: true });
    this._root.addEventListener("wheel", () => (isDrag = false), { capture: true, passive: true });
    this._root.on("plotly_relayout", (change) => {
      // Drags and wheels arrive here; so does what `_look` has set, which changes nothing any more.
      const [low, high] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (low === undefined) return;
      this._look(isDrag ? this._shifted((low + high) / 2) : [low, high]);
    });
  }

  _resize() {
    this._library.Plots.resize(this._root);
    this._library.relayout(this._root, this._viewUpdate());
  }
}
