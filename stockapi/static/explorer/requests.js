/** The requests the page has made, each as a line to paste into a terminal: where it took several, a line for each. */

import { announce, byId, fillSelect } from "./dom.js";
import { t } from "./i18n.js";
import { currentKey } from "./key.js";

const FEEDBACK_MS = 1_600;
const KINDS = [
  ["bars", "Bars"],
  ["quote", "Quote"],
  ["profile", "Volume profile"],
  ["performers", "Performers"],
  ["sectors", "Sector strength"],
  ["listing", "Heat map"],
  ["compare", "Compare"],
  ["watch", "Watch list"],
];

/** In single quotes a shell takes everything as it is; a single quote itself never stands unescaped in a URL of ours. */
const line = (url) => `curl ${currentKey() && '-H "X-API-Key: $KEY" '}'${url.replaceAll("'", "%27")}'`;

export class RequestLine {
  constructor() {
    this._urls = {};
    this._which = byId("which");
    fillSelect(this._which, KINDS.map(([kind, name]) => [kind, t(name)]));
    this._which.addEventListener("change", () => this._show());
    byId("copy").addEventListener("click", () => this._copy());
    this._show();
  }

  /** @param {string} kind one of `KINDS` @param {string[]} urls as many as it took */
  made(kind, ...urls) {
    this._urls[kind] = urls;
    this._show();
  }

  _show() {
    const urls = this._urls[this._which.value] ?? [];
    byId("curl").textContent = urls.map(line).join("\n") || t("not asked yet");
    byId("copy").disabled = urls.length === 0;
  }

  async _copy() {
    const text = byId("curl").textContent;
    const said = (await copied(text)) ? t("Copied") : t("Select and copy");
    byId("copy").textContent = said;
    announce(said);
    setTimeout(() => (byId("copy").textContent = t("Copy")), FEEDBACK_MS);
  }
}

/** Whether it is on the clipboard now. Over plain HTTP browsers have no clipboard for pages: then it is selected to be copied. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(byId("curl"));
    return document.execCommand("copy");
  }
}
