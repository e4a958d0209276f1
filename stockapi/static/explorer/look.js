/** How the charting library draws: its options, in the colours of the theme and the language of the page. */

import { barTime, clockText, monthName, shortDay } from "./format.js";
import { currentLocale } from "./i18n.js";
import { color } from "./theme.js";

const ROOM = { top: 0.07, bottom: 0.05 };  // of the pane, above and below its bars
const DOTTED = 1;
const NORMAL_CROSSHAIR = 0;
const KEEP_CROSSHAIR_UNTIL_TAP = 1;
export const SCALE_MODES = { linear: 0, log: 1, percent: 2 };

/** What begins at a label of the time axis, by the library's `TickMarkType`. */
const TICKS = [
  (ms) => String(new Date(ms).getUTCFullYear()),
  (ms) => monthName(ms),
  (ms) => shortDay(ms),
  (ms) => clockText(ms),
  (ms) => clockText(ms),
];

/** Options of the whole chart. @param {boolean} isIntraday */
export function chartOptions(isIntraday) {
  const line = { color: color("muted"), style: DOTTED, labelBackgroundColor: color("tag") };
  const border = { borderColor: color("border") };
  return {
    autoSize: true,
    layout: {
      attributionLogo: false, // it would need an inline style sheet; the page has the credit as text
      background: { type: "solid", color: color("panel") },
      textColor: color("muted"),
      fontSize: 11,
      fontFamily: getComputedStyle(document.body).fontFamily,
      panes: { separatorColor: color("border"), separatorHoverColor: color("accent-soft") },
    },
    grid: { vertLines: { color: color("grid") }, horzLines: { color: color("grid") } },
    crosshair: { mode: NORMAL_CROSSHAIR, vertLine: line, horzLine: line },
    rightPriceScale: { ...border, scaleMargins: ROOM },
    timeScale: {
      ...border,
      timeVisible: isIntraday,
      minBarSpacing: 0.02,
      enableConflation: true, // of bars thinner than a pixel, one is drawn for several
      lockVisibleTimeRangeOnResize: true,
      tickMarkFormatter: (seconds, type) => TICKS[type](seconds * 1000),
    },
    localization: { locale: currentLocale(), timeFormatter: (seconds) => barTime(seconds * 1000, isIntraday) },
    handleScroll: { vertTouchDrag: false }, // up and down, a finger scrolls the page
    handleScale: { axisDoubleClickReset: { time: false, price: true } },
    trackingMode: { exitMode: KEEP_CROSSHAIR_UNTIL_TAP },
  };
}
