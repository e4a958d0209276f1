/** The market in one look: a tile for each sector, as large as the value traded there, coloured by its change. */

import { byId, el, keepingFocus } from "./dom.js";
import { arrow, compact, direction, percent, sectorName } from "./format.js";
import { t } from "./i18n.js";
import { MARKETS, isIndex } from "./markets.js";
import { treemap } from "./treemap.js";

/** The map in hundredths of its height, twice as wide; a tile narrower or lower than this could neither be read nor hit. */
const BOX = { x: 0, y: 0, width: 200, height: 100 };
const LEAST = 8;
/** Percent from which on a tile has its full colour; and how many shades there are to there. */
const FULL = 3;
const SHADES = 3;

/** @typedef {{key: string, name: string, value: number, change: number, isSector: boolean}} Tile `value`: close times volume */

/**
 * @param {import("./listing.js").Traded[]} traded @param {string} mode
 * @param {{sector: string, symbol: string, onSector: (sector: string) => void, onSymbol: (symbol: string) => void}} how
 * @returns {number} how many tiles there are
 */
export function showHeatMap(traded, mode, { sector, symbol, onSector, onSymbol }) {
  const tiles = tilesOf(traded, mode);
  const nodes = placed(tiles).map(({ tile, box }) => {
    const isChosen = tile.key === (tile.isSector ? sector : symbol);
    const pick = () => (tile.isSector ? onSector(isChosen ? "" : tile.key) : onSymbol(tile.key));
    return el("li", {}, tileNode(tile, box, isChosen, pick));
  });
  keepingFocus(byId("heat"), () => byId("heat").replaceChildren(...nodes));
  return tiles.length;
}

/** Of what was traded on the newest day; where there is one sector only, its tickers. @returns {Tile[]} the largest first */
export function tilesOf(tickers, mode) {
  const newest = tickers.reduce((latest, { time }) => (time > latest ? time : latest), "");
  const traded = tickers.filter((each) => each.time === newest && each.volume > 0 && each.change !== null && !isIndex(mode, each.symbol));
  const { isOneSector } = MARKETS.get(mode);
  const tiles = new Map();
  for (const { symbol, sector, close, volume, change } of traded) {
    const key = isOneSector ? symbol : sector;
    if (!key) continue;
    const tile = tiles.get(key) ?? { key, name: isOneSector ? symbol : sectorName(key), value: 0, gain: 0, isSector: !isOneSector };
    tile.value += close * volume;
    tile.gain += close * volume * change;
    tiles.set(key, tile);
  }
  return [...tiles.values()].map((tile) => ({ ...tile, change: tile.gain / tile.value })).sort((a, b) => b.value - a.value);
}

/** As many of the largest as have room. @param {Tile[]} tiles */
function placed(tiles) {
  const boxes = treemap(tiles.map(({ value }) => value), BOX);
  const isSmall = boxes.some(({ width, height }) => Math.min(width, height) < LEAST);
  return isSmall ? placed(tiles.slice(0, -1)) : tiles.map((tile, at) => ({ tile, box: boxes[at] }));
}

function tileNode({ name, value, change }, { x, y, width, height }, isChosen, onclick) {
  const shade = Math.min(SHADES, Math.ceil((Math.abs(change) / FULL) * SHADES));
  const said = `${arrow(change)} ${percent(change)}`.trim();
  const title = t("{name}: {change}, {value} traded", { name, change: percent(change), value: compact(value) });
  const properties = { type: "button", title, "aria-label": title, "aria-pressed": String(isChosen), class: `tile ${direction(change)} shade${shade}`, onclick };
  const node = el("button", properties, el("b", { textContent: name }), el("span", { textContent: said }));
  node.dataset.key = name;
  const share = { left: x / 2, top: y, width: width / 2, height };
  for (const [side, percents] of Object.entries(share)) node.style[side] = `${percents}%`;
  return node;
}
