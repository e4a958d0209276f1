/** What the chart draws of the bars: candles, volume and lines, each as a list of points by position. */

import { compact, price } from "./format.js";
import { color } from "./theme.js";

const PRICE_PANE = 0;
const VOLUME_PANE = 1;
const DOTTED = 1;

/**
 * @typedef {object} Layer
 * @property {string} key
 * @property {"CandlestickSeries" | "HistogramSeries" | "LineSeries"} kind as the library calls it
 * @property {number} pane
 * @property {object} options
 * @property {(at: number) => object} point what is drawn at a position, without its time
 */

/** @param {import("./api.js").Series} series @param {import("./price.js").Look} look @returns {Layer[]} */
export function layersOf(series, look) {
  return [candles(series, look), volume(series), ...look.ma.map((period) => average(series, period, look))];
}

/** How prices are written on an axis. */
export function priceFormat(unit, smallest) {
  return { type: "custom", minMove: smallest, formatter: (value) => price(value, unit) };
}

/** The smallest step between two prices that an axis should tell apart. */
export function smallestStep(unit, last) {
  if (unit === "dong") return 1;
  return unit === "points" || last >= 10 ? 0.01 : 10 ** (Math.floor(Math.log10(last || 1)) - 4);
}

function candles({ open, high, low, close }, { unit }) {
  const last = close.length - 1;
  return {
    key: "price",
    kind: "CandlestickSeries",
    pane: PRICE_PANE,
    options: {
      // A hollow candle closed above its open: colour is not the only thing that tells.
      upColor: color("up-body"), borderUpColor: color("up"), wickUpColor: color("up"),
      downColor: color("down"), borderDownColor: color("down"), wickDownColor: color("down"),
      priceLineColor: color(close[last] >= open[last] ? "up" : "down"),
      priceLineStyle: DOTTED,
      priceFormat: priceFormat(unit, smallestStep(unit, close[last])),
    },
    point: (at) => ({ open: open[at], high: high[at], low: low[at], close: close[at] }),
  };
}

function volume({ open, close, volume: values }) {
  const [up, down] = [color("up-volume"), color("down-volume")];
  return {
    key: "volume",
    kind: "HistogramSeries",
    pane: VOLUME_PANE,
    options: { priceLineVisible: false, lastValueVisible: false, priceFormat: { type: "custom", minMove: 0.01, formatter: compact } },
    point: (at) => ({ value: values[at], color: close[at] >= open[at] ? up : down }),
  };
}

function average(series, period, { unit }) {
  return line(`ma${period}`, series[`ma${period}`], { color: color(`ma${period}`) }, unit);
}

/** A line on the price scale. It does not take part in fitting the scale: a far average would squash the candles of a short range. */
export function line(key, values, options, unit) {
  return {
    key,
    kind: "LineSeries",
    pane: PRICE_PANE,
    options: {
      lineWidth: 1.5,
      priceLineVisible: false,
      lastValueVisible: false,
      crosshairMarkerVisible: false,
      priceFormat: priceFormat(unit, smallestStep(unit, values.findLast((value) => value != null))),
      autoscaleInfoProvider: () => null,
      ...options,
    },
    point: (at) => (values[at] == null ? {} : { value: values[at] }),
  };
}
