/** The charting library. The page loads it beside its own scripts; where that failed, it is asked for again here. */

import { byId } from "./dom.js";
import { t } from "./i18n.js";

let loading;

/** Lightweight Charts, which is a classic script. @returns {Promise<any>} */
export function library() {
  if (globalThis.LightweightCharts) return Promise.resolve(globalThis.LightweightCharts);
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = byId("library-script").src;
    script.onload = () => resolve(globalThis.LightweightCharts);
    script.onerror = () => {
      loading = undefined;
      reject(new Error(t("the charting library could not be loaded")));
    };
    document.head.append(script);
  });
  return loading;
}
