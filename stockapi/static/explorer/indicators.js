/**
 * Indicators of a column of closes, oldest first, as columns of the same length; null until they are defined. The names are those
 * that the API gives such fields, so that it can take their place. The first values of those that look back for ever depend on
 * where the column begins: the page holds 200 bars more than it shows, after which less than a millionth of that is left.
 */

const BANDS = { period: 20, width: 2 };
const RSI_PERIOD = 14;
const MACD = { fast: 12, slow: 26, signal: 9 };

/** The columns of each indicator that can be chosen. @type {Record<string, (closes: number[]) => Record<string, (number | null)[]>>} */
export const INDICATORS = { bb: bands, rsi: (closes) => ({ rsi14: rsi(closes) }), macd };

/** Bollinger bands: the mean of the last 20 closes, and two standard deviations (of all 20, not of a sample) around it. */
export function bands(closes, { period, width } = BANDS) {
  const [upper, middle, lower] = [[], [], []];
  for (let at = 0; at < closes.length; at += 1) {
    const last = at + 1 < period ? undefined : closes.slice(at + 1 - period, at + 1);
    const mean = last && last.reduce((sum, close) => sum + close, 0) / period;
    const spread = last && width * Math.sqrt(last.reduce((sum, close) => sum + (close - mean) ** 2, 0) / period);
    upper.push(last ? mean + spread : null);
    middle.push(last ? mean : null);
    lower.push(last ? mean - spread : null);
  }
  return { bb20_upper: upper, bb20_middle: middle, bb20_lower: lower };
}

/** Wilder's relative strength index, from 0 to 100: his smoothing, begun with the mean of the first changes. */
export function rsi(closes, period = RSI_PERIOD) {
  const found = closes.map(() => null);
  let [gain, loss] = [0, 0];
  for (let at = 1; at < closes.length; at += 1) {
    const change = closes[at] - closes[at - 1];
    const kept = at <= period ? 1 : 1 - 1 / period; // the first ones are summed up to their mean
    gain = gain * kept + Math.max(change, 0) / period;
    loss = loss * kept + Math.max(-change, 0) / period;
    if (at >= period) found[at] = loss === 0 ? (gain === 0 ? 50 : 100) : 100 - 100 / (1 + gain / loss);
  }
  return found;
}

/** Appel's convergence and divergence: the averages of 12 and of 26 closes apart, the average of that, and how far it is from it. */
export function macd(closes, { fast, slow, signal } = MACD) {
  const [quick, calm] = [ema(closes, fast), ema(closes, slow)];
  const line = closes.map((_, at) => (calm[at] === null ? null : quick[at] - calm[at]));
  const start = Math.min(slow - 1, closes.length);
  const smooth = [...closes.slice(0, start).map(() => null), ...ema(line.slice(start), signal)];
  return { macd: line, macd_signal: smooth, macd_hist: line.map((value, at) => (smooth[at] == null ? null : value - smooth[at])) };
}

/** Exponential average, begun with the mean of the first values. */
export function ema(values, period) {
  const found = values.map(() => null);
  if (values.length < period) return found;
  let mean = values.slice(0, period).reduce((sum, value) => sum + value, 0) / period;
  found[period - 1] = mean;
  for (let at = period; at < values.length; at += 1) {
    mean += (values[at] - mean) * (2 / (period + 1));
    found[at] = mean;
  }
  return found;
}
