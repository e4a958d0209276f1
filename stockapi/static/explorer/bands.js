/** Reference, ceiling and floor of a day, as traders in Vietnam see them; `calc/price_bands.py` has the rules and their source. */

import { direction } from "./format.js";
import { MARKETS, exchangeOf } from "./markets.js";

/**
 * The rules of an exchange.
 * @typedef {object} Rules
 * @property {number} limitPercent from the reference price, up and down
 * @property {[below: number | null, tick: number][]} ticks by price; null for all other prices
 * @property {string} symbols of the stocks that trade there, with blanks between
 */

/** @typedef {{reference: number, ceiling: number, floor: number}} Band */

/** @param {string} exchange "" for none @param {number | null} close of the day before @returns {Band | undefined} */
export function bandOf(mode, exchange, close) {
  const rules = MARKETS.get(mode).exchanges[exchange];
  if (!rules || !(close > 0)) return undefined;
  const tickAt = (price) => rules.ticks.find(([below]) => below === null || price < below)[1];
  const tick = tickAt(close);
  const reference = Math.max(Math.floor(close / tick + 0.5) * tick, tick);
  // In hundredths: 1.07 times a price is no exact number.
  const [above, below] = [reference * (100 + rules.limitPercent), reference * (100 - rules.limitPercent)];
  const [up, down] = [above, below].map((hundredths) => tickAt(hundredths / 100) * 100);
  let ceiling = (Math.floor(above / up) * up) / 100;
  let floor = (Math.ceil(below / down) * down) / 100;
  if (ceiling <= reference) ceiling = reference + tickAt(reference);
  if (floor >= reference) floor = reference - tickAt(reference - 1);
  return { reference, ceiling, floor: floor > 0 ? floor : reference };
}

/** The class that colours the close of a day, by its change in percent. */
export function toneOfDay(mode, symbol, close, change) {
  const band = change == null ? undefined : bandOf(mode, exchangeOf(mode, symbol), close / (1 + change / 100));
  return toneOf(close, band, direction(change));
}

/**
 * The class that colours a price: violet, green, amber, red or cyan. A price beyond the limits is of a day with others, such as
 * a first one, and is coloured as a change is.
 * @param {Band | undefined} band
 */
export function toneOf(price, band, otherwise) {
  if (!band || price == null || price > band.ceiling || price < band.floor) return otherwise;
  if (price === band.ceiling) return "ceiling";
  if (price === band.reference) return "reference";
  if (price === band.floor) return "floor";
  return price > band.reference ? "up" : "down";
}
