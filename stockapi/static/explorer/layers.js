/** What the chart draws of the bars: candles, volume and lines, each as a list of points by position. */

import { compact, price } from "./format.js";
import { color } from "./theme.js";

const PRICE_PANE = 0;
const VOLUME_PANE = 1;
const OSCILLATOR_PANE = 2;
const DOTTED = 1;
const ALONE = { autoscaleInfoProvider: undefined };
/** Of several thin bars one would be drawn, which may be the lowest: those of a histogram are drawn each. */
const EACH_BAR = { conflationThresholdFactor: 0 };
const PLAIN = { type: "price", precision: 1, minMove: 0.1 };

/**
 * @typedef {object} Layer
 * @property {string} key
 * @property {"CandlestickSeries" | "HistogramSeries" | "LineSeries"} kind as the library calls it
 * @property {number} pane
 * @property {object} options
 * @property {number[]} [levels] lines across the pane
 * @property {(at: number) => object} point what is drawn at a position, without its time
 */

/** @param {import("./api.js").Series} series with the columns of the indicators @param {import("./price.js").Look} look @returns {Layer[]} */
export function layersOf(series, look) {
  return [
    candles(series, look),
    volume(series),
    ...look.ma.map((period) => average(series, period, look)),
    ...(look.bb ? bandLines(series, look) : []),
    ...look.compare.filter((symbol) => series[symbol]).map((symbol, at) => comparison(series, symbol, at, look)),
    ...{ rsi: rsiLayers, macd: macdLayers, "": () => [] }[look.pane](series),
  ];
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
    options: { ...EACH_BAR, priceLineVisible: false, lastValueVisible: false, priceFormat: { type: "custom", minMove: 0.01, formatter: compact } },
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

function bandLines(series, { unit }) {
  const tone = { color: color("band"), ...ALONE };
  return ["upper", "middle", "lower"].map((side) => line(`bb20_${side}`, series[`bb20_${side}`], tone, unit));
}

function comparison(series, symbol, at, { unit }) {
  return line(`vs ${symbol}`, series[symbol], { color: color(`other${at + 1}`), lineWidth: 2, title: symbol, lastValueVisible: true, ...ALONE }, unit);
}

function rsiLayers(series) {
  const options = { color: color("ma20"), ...ALONE, lastValueVisible: true, priceFormat: PLAIN };
  return [{ ...line("rsi14", series.rsi14, options, "points"), pane: OSCILLATOR_PANE, levels: [30, 70] }];
}

function macdLayers(series) {
  const own = { ...ALONE, priceFormat: { type: "custom", minMove: 1e-9, formatter: compact } };
  const [up, down] = [color("up-volume"), color("down-volume")];
  const histogram = {
    key: "macd_hist",
    kind: "HistogramSeries",
    options: { ...own, ...EACH_BAR, priceLineVisible: false, lastValueVisible: false },
    point: (at) => (series.macd_hist[at] == null ? {} : { value: series.macd_hist[at], color: series.macd_hist[at] >= 0 ? up : down }),
  };
  const lines = [["macd", "ma20"], ["macd_signal", "ma10"]];
  return [histogram, ...lines.map(([key, tone]) => line(key, series[key], { ...own, color: color(tone) }, "points"))].map((layer) => ({
    ...layer, pane: OSCILLATOR_PANE,
  }));
}
