/** The candlestick chart: what is drawn, which bars are in view, and the crosshair. */

import { layersOf } from "./layers.js";
import { library } from "./library.js";
import { SCALE_MODES, chartOptions } from "./look.js";
import { ProfileLayer } from "./profile.js";
import { color } from "./theme.js";

const FEWEST_BARS = 8;
const ZOOM_STEP = 1.4;
const PAN_STEP = 0.25;
const RIGHT_ROOM = 0.02;  // of the bars in view, right of the newest
const HEIGHTS = [5, 1.1, 1.4];  // of the panes: price, volume, oscillator
const ALMOST = 0.01;
const EMPTY = { at: [] };

/** @typedef {[first: number, last: number, isNewest: boolean]} Place positions of bars; room is left on the right of the newest */

export class Chart {
  /**
   * @param {HTMLElement} root
   * @param {object} on
   * @param {(index: number) => void} on.point a bar under the pointer or chosen by key; -1 for none
   * @param {(isMoved: boolean) => void} on.view the bars in view have changed, by hand or because others were shown
   * @param {() => void} on.reset all bars of the range, please
   */
  constructor(root, on) {
    Object.assign(this, { _root: root, _on: on, _series: EMPTY, _layers: new Map(), _profile: new ProfileLayer() });
    Object.assign(this, { _isByHand: false, _isChanging: false, _target: undefined, _growing: undefined });
    root.chart = this; // what is painted on a canvas cannot be read from the document: tests ask here
  }

  /** How many bars there are; only some of them may be in view. */
  get count() {
    return this._series.at.length;
  }

  /** Positions of the first and last bar in view. @returns {[number, number]} */
  get visible() {
    const [low, high] = this.edges;
    const inside = (at) => Math.min(this.count - 1, Math.max(0, at));
    return [inside(Math.ceil(low - ALMOST)), inside(Math.floor(high + ALMOST))];
  }

  /** Positions at the edges of the view, which may lie outside the bars. @returns {[number, number]} */
  get edges() {
    const range = this._target ?? this._time?.getVisibleLogicalRange();
    return range ? [range.from, range.to] : [0, 0];
  }

  /** When a bar begins; undefined where there is none. */
  timeOf(index) {
    return this._series.at[index];
  }

  /** Position of the bar that begins then; -1 when there is none. */
  indexOf(at) {
    return this._series.at.indexOf(at);
  }

  /** Width of the plot in pixels. */
  get width() {
    return this._time?.width() || this._root.clientWidth;
  }

  /** Pixels from the left edge to the middle of a bar. */
  xOf(index) {
    return this._time.logicalToCoordinate(index);
  }

  /** Pixels from the upper edge to a price, or null. */
  yOf(value) {
    return this._layers.get("price")?.api.priceToCoordinate(value);
  }

  /** What is drawn, by name. */
  get layers() {
    return [...this._layers.keys()];
  }

  get profile() {
    return this._profile;
  }

  /** Resolves when there is something to draw on. */
  async start(isIntraday) {
    this._library ??= await library();
    if (this._api) return;
    const host = document.createElement("div");
    host.className = "host";
    host.setAttribute("aria-hidden", "true"); // canvases in a table, which is nothing to hear
    this._root.append(host);
    this._api = this._library.createChart(host, chartOptions(isIntraday));
    this._time = this._api.timeScale();
    this._listen();
  }

  /**
   * @param {import("./api.js").Series} series
   * @param {import("./price.js").Look} look
   * @param {Place} [place] without it the view stays where it is
   */
  show(series, look, place) {
    const edges = this.edges;
    const added = place || this.count === 0 ? 0 : shift(this._series.at, series.at);
    Object.assign(this, { _series: series, _look: look, _isChanging: true, _growing: undefined });
    this._api.applyOptions(chartOptions(look.isIntraday));
    this._draw(layersOf(series, look));
    this._api.priceScale("right").applyOptions({ mode: SCALE_MODES[look.scale] });
    this._api.panes().forEach((pane, at) => pane.setStretchFactor(HEIGHTS[at]));
    this._isChanging = false;
    if (place) this.place(place);
    else this._aim(edges[0] + added, edges[1] + added);
  }

  /** The same series with more bars before or after. To put them into a layer takes a frame, so each layer has its own. */
  async grow(series) {
    const [low, high] = this.edges;
    const added = series.at.indexOf(this._series.at[0]);
    const [first, ...others] = layersOf(series, this._look);
    Object.assign(this, { _series: series, _growing: others, _isChanging: true });
    this._put(first);
    this._isChanging = false;
    this._aim(low + added, high + added);
    for (const layer of others) {
      await new Promise(requestAnimationFrame);
      if (this._growing !== others) return; // all was put in at once meanwhile
      this._put(layer);
    }
    this._growing = undefined;
  }

  /** The same series, of which the last bar has grown or others have come after it. */
  extend(series) {
    if (this._growing) {
      this.show(series, this._look);
      return;
    }
    const since = this.count - 1;
    this._series = series;
    for (const { key, options, point } of layersOf(series, this._look)) {
      const { api } = this._layers.get(key);
      api.applyOptions(options);
      for (let at = since; at < series.at.length; at += 1) api.update(this._item(at, point));
    }
  }

  /** Anew with the same bars. */
  redraw(look = this._look) {
    if (this.count > 0) this.show(this._series, look);
    this._profile.redraw();
  }

  /** Bring these bars into view. @param {Place} place */
  place([first, last, isNewest]) {
    this._isByHand = false;
    const room = isNewest ? Math.max(1, (last - first) * RIGHT_ROOM) : 0;
    this._api.priceScale("right").setAutoScale(true);
    this._aim(first, last + room);
  }

  /** @param {"left" | "right" | "in" | "out" | "reset"} how */
  move(how) {
    if (how === "reset") {
      this._on.reset(); // also where the view has no bars: that leads out of it
      return;
    }
    if (this.count === 0) return;
    const [low, high] = this.edges;
    const width = high - low + 1;
    const middle = (low + high) / 2;
    const zoomed = (size) => [middle - (size - 1) / 2, middle + (size - 1) / 2];
    this._lookAt(
      {
        left: () => [low - width * PAN_STEP, high - width * PAN_STEP],
        right: () => [low + width * PAN_STEP, high + width * PAN_STEP],
        in: () => zoomed(Math.max(FEWEST_BARS, width / ZOOM_STEP)),
        out: () => zoomed(width * ZOOM_STEP),
      }[how](),
    );
  }

  /** Put the crosshair on a bar, bringing it into view; -1 takes it away. */
  point(index) {
    if (index < 0) {
      this._api?.clearCrosshairPosition();
      this._on.point(-1);
      return;
    }
    const [low, high] = this.edges;
    if (index < low || index > high) {
      const shift = index < low ? index - low : index - high;
      this._lookAt([low + shift, high + shift]);
    }
    this._api.setCrosshairPosition(this._series.close[index], this._series.at[index] / 1000, this._layers.get("price").api);
    this._on.point(index);
  }

  clear() {
    Object.assign(this, { _series: EMPTY, _growing: undefined });
    this._profile.show(undefined);
    for (const { api } of this._layers.values()) api.setData([]);
  }

  /** The chart as a picture. @returns {HTMLCanvasElement} */
  picture() {
    return this._api.takeScreenshot(true);
  }

  /** By keys and buttons: no further right than the newest bar, nor further left than the oldest that is held. */
  _lookAt([low, high]) {
    this._isByHand = true;
    const width = high - low;
    const end = this.count - 1 + Math.max(1, width * RIGHT_ROOM);
    const to = Math.min(end, Math.max(high, width));
    this._aim(to - width, to);
  }

  /** The library goes there with its next frame. */
  _aim(from, to) {
    this._target = { from, to };
    this._time.setVisibleLogicalRange(this._target);
  }

  /** @param {import("./layers.js").Layer[]} layers */
  _draw(layers) {
    const keys = new Set(layers.map(({ key }) => key));
    for (const [key, { api }] of this._layers) {
      if (keys.has(key)) continue;
      this._api.removeSeries(api);
      this._layers.delete(key);
    }
    for (const layer of layers) this._put(layer);
    if (!this._profile.isAttached) this._profile.attach(this._layers.get("price").api);
  }

  /** @param {import("./layers.js").Layer} layer */
  _put({ key, kind, pane, options, levels = [], point }) {
    const known = this._layers.get(key);
    const api = known?.api ?? this._api.addSeries(this._library[kind], options, pane);
    const lines = known?.lines ?? levels.map((at) => api.createPriceLine({ price: at, lineStyle: 1, title: "" }));
    for (const line of lines) line.applyOptions({ color: color("muted") });
    this._layers.set(key, { api, lines });
    api.applyOptions(options);
    api.setData(this._series.at.map((_, at) => this._item(at, point)));
  }

  _item(at, point) {
    return { time: this._series.at[at] / 1000, ...point(at) };
  }

  _listen() {
    for (const event of ["wheel", "touchmove"]) {
      this._root.addEventListener(event, () => (this._isByHand = true), { capture: true, passive: true });
    }
    this._root.addEventListener("pointermove", ({ buttons }) => buttons && (this._isByHand = true), { capture: true, passive: true });
    let isTouch = false;
    this._root.addEventListener("pointerdown", ({ pointerType }) => (isTouch = pointerType === "touch"), { capture: true, passive: true });
    // Where a finger touches stands the crosshair; one that goes sideways pans, two zoom, one up and down scrolls the page.
    this._api.subscribeClick(({ logical }) => isTouch && this.point(Math.min(this.visible[1], Math.max(this.visible[0], logical))));
    this._root.addEventListener("dblclick", () => this._on.reset());
    this._api.subscribeDblClick(() => this._on.reset()); // of fingers, which the browser makes no event of
    this._api.subscribeCrosshairMove(({ logical, time }) => this._on.point(time === undefined ? -1 : logical));
    this._time.subscribeVisibleLogicalRangeChange(() => {
      // While bars are put in, one layer after the other, what is in view means nothing.
      if (this._isChanging) return;
      this._target = undefined;
      if (this.count > 0) this._on.view(this._isByHand);
    });
  }
}

/** How many positions further right a bar stands in `times` than in `before`: one of them begins within the other. */
function shift(before, times) {
  const at = times.indexOf(before[0]);
  return at >= 0 ? at : -Math.max(0, before.indexOf(times[0]));
}
