/** The charting library, loaded once and while the first bars are on their way, and what all charts have in common. */

import { byId } from "./dom.js";
import { color } from "./theme.js";

/** Height of the price pane, as a share of the plot; the rest is the volume's. The profile beside it keeps to the same. */
export const PRICE_PANE = [0.24, 1];
export const VOLUME_PANE = [0, 0.18];

let loading;

/** plotly.js, which is a classic script. @returns {Promise<any>} */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = byId("plotly-script").href;
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => {
      loading = undefined;
      reject(new Error("the charting library could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

export function baseLayout() {
  return {
    autosize: true,
    // Not transparent: the crosshair gets a halo in the contrast of this colour.
    paper_bgcolor: color("panel"),
    plot_bgcolor: color("panel"),
    font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: color("muted") },
    showlegend: false,
    hovermode: "x",
    hoverdistance: 100,
    spikedistance: -1,
    bargap: 0.25,
  };
}

export function baseAxis() {
  return {
    gridcolor: color("grid"),
    zeroline: false,
    linecolor: color("border"),
    tickcolor: color("border"),
    ticks: "",
    automargin: false,
    fixedrange: true,
  };
}

export const CONFIG = { displayModeBar: false, responsive: false, doubleClick: false, showTips: false };
