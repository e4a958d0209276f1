/** The volume profile: how much was traded at which price, drawn on the chart's own price scale. */

import { fillFacts } from "./dom.js";
import { compact, money, price, share, whole } from "./format.js";
import { t } from "./i18n.js";
import { color } from "./theme.js";

const MOST_WIDTH = 0.3;  // of the pane, for the bin with the most volume
const DASHED = 2;
const SOLID = 0;

/** Draws itself behind the candles of the series it is attached to. The library asks it for its views. */
export class ProfileLayer {
  constructor() {
    Object.assign(this, { _data: undefined, _lines: [], isAttached: false });
    this._view = { zOrder: () => "bottom", renderer: () => ({ draw: (target) => this._paint(target) }) };
  }

  /** @param {object} api of the candles */
  attach(api) {
    this._api = api;
    this.isAttached = true;
    api.attachPrimitive({
      attached: ({ requestUpdate }) => (this._update = requestUpdate),
      paneViews: () => [this._view],
    });
    this.redraw();
  }

  /** Bins as they are drawn. */
  get bins() {
    return this._data?.profile ?? [];
  }

  /** @param {object | undefined} data of /analysis/volume-profile; none takes it away */
  show(data) {
    this._data = data;
    this.redraw();
  }

  redraw() {
    if (!this.isAttached) return;
    for (const line of this._lines) this._api.removePriceLine(line);
    this._lines = this.levels.map((level) => this._api.createPriceLine(level));
    this._update?.();
  }

  /** Point of control and value area, where they truly are: not in the middle of a bin. */
  get levels() {
    if (!this._data) return [];
    const { poc, value_area: area } = this._data;
    const level = (title, at, tone, lineStyle) => ({
      price: at, title, color: color(tone), lineStyle, lineWidth: 1,
      axisLabelVisible: true, axisLabelColor: color(tone), axisLabelTextColor: color("on-tone"),
    });
    return [level("VAH", area.high, "area-line", DASHED), level("POC", poc.price, "poc", SOLID), level("VAL", area.low, "area-line", DASHED)];
  }

  _paint(target) {
    if (this.bins.length === 0) return;
    const { poc, value_area: area, profile } = this._data;
    const half = this._step() / 2;
    const most = Math.max(...profile.map(({ volume }) => volume));
    const tones = { poc: color("poc-bin"), area: color("area"), rest: color("rest") };
    target.useBitmapCoordinateSpace(({ context, bitmapSize, verticalPixelRatio }) => {
      for (const bin of profile) {
        const [top, bottom] = [bin.price + half, bin.price - half].map((at) => this._api.priceToCoordinate(at) * verticalPixelRatio);
        const isPoc = poc.price > bin.price - half && poc.price <= bin.price + half;
        const isInArea = bin.price + half > area.low && bin.price - half < area.high;
        context.fillStyle = isPoc ? tones.poc : isInArea ? tones.area : tones.rest;
        const width = (bin.volume / most) * MOST_WIDTH * bitmapSize.width;
        context.fillRect(bitmapSize.width - width, top, width, Math.max(1, bottom - top - verticalPixelRatio));
      }
    });
  }

  _step() {
    const { profile, price_range: range } = this._data;
    return profile.length > 1 ? (profile.at(-1).price - profile[0].price) / (profile.length - 1) : range.spread || 1;
  }
}

/**
 * The same in words.
 * @param {HTMLElement} facts a <dl> @param {object} data of /analysis/volume-profile @param {string} days which it is of
 * @param {import("./format.js").Unit} unit
 */
export function showProfileFacts(facts, data, days, unit) {
  const { poc, value_area: area, total_volume: volume, total_minutes: minutes } = data;
  fillFacts(facts, [
    [t("Of"), days],
    [t("Point of control"), `${money(poc.price, unit)} (${share(poc.percentage)})`],
    [t("Value area"), `${price(area.low, unit)} \u2013 ${price(area.high, unit)} (${share(area.percentage)})`],
    [t("Volume"), t("{volume} in {count} minutes", { volume: compact(volume), count: whole(minutes) })],
  ]);
}
