/** The markets and intervals there are, as the server has written them into the page. */

const FACTS = JSON.parse(document.body.dataset.facts);

/**
 * @typedef {object} Market
 * @property {string} mode its name in requests
 * @property {string} firstSymbol the ticker to begin with
 * @property {"dong" | "usd"} unit of its prices
 * @property {string[]} indices tickers whose prices are points; VN30F* are all that begin so
 * @property {string} timeZone of its clock, a name of the time zone database
 * @property {string} clock what people call that clock
 * @property {number} opensMs from midnight on its clock to the open
 * @property {string[]} holidays days without a session, weekends not counted
 * @property {number} sessionMs from the open of a trading day to its close; 24 hours where it never closes
 * @property {number} daysPerWeek on which it trades
 * @property {Record<string, import("./bands.js").Rules>} exchanges that limit a day's prices
 * @property {boolean} isWholeVolume volume is a number of shares, not of fractions of a coin
 * @property {boolean} isOneSector
 */

/** @type {Map<string, Market>} */
export const MARKETS = new Map(FACTS.markets.map((market) => [market.mode, market]));

/** Whether its prices are points. */
export function isIndex(mode, symbol) {
  return MARKETS.get(mode).indices.some((name) => (name.endsWith("*") ? symbol.startsWith(name.slice(0, -1)) : symbol === name));
}

const exchanges = new Map(
  FACTS.markets.flatMap((market) =>
    Object.entries(market.exchanges).flatMap(([name, { symbols }]) => symbols.split(" ").map((symbol) => [`${market.mode}:${symbol}`, name])),
  ),
);

/** The exchange of a stock; "" when it is not known, or is none. */
export const exchangeOf = (mode, symbol) => exchanges.get(`${mode}:${symbol}`) ?? "";

/** @returns {"dong" | "points" | "usd"} */
export const unitOf = (mode, symbol) => (isIndex(mode, symbol) ? "points" : MARKETS.get(mode).unit);

/** By name, the shortest first; `lengthMs` is nominal. @type {{name: string, isIntraday: boolean, lengthMs: number}[]} */
export const LENGTHS = FACTS.intervals;
