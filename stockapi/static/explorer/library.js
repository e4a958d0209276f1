/** The charting library, loaded once and while the first bars are on their way. */

import { byId } from "./dom.js";
import { t } from "./i18n.js";

let loading;

/** Lightweight Charts, which is a classic script. @returns {Promise<any>} */
export function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = byId("library-script").href;
    script.onload = () => resolve(globalThis.LightweightCharts);
    script.onerror = () => {
      loading = undefined;
      reject(new Error(t("the charting library could not be loaded")));
    };
    document.head.append(script);
  });
  return loading;
}
