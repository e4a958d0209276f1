/** One request of the page at a time per panel: superseded ones are aborted, and the panel says how it stands. */

import { ApiError } from "./api.js";
import { announce, el } from "./dom.js";
import { t } from "./i18n.js";

/** Pages that were opened together do not ask together for ever. */
const JITTER = 0.1;
/** After a failure: soon, then less and less often. */
const RETRIES_MS = [5_000, 10_000, 30_000];
const EMPTY_MS = 60_000;

/**
 * A region that shows content, or in its place that there is none, or what failed. It keeps its size in all states, and while
 * something newer loads the older content stays, dimmed.
 */
export class Panel {
  /** @param {HTMLElement} root */
  constructor(root) {
    this._root = root;
    this._cover = el("div", { class: "cover", hidden: true });
    root.append(this._cover);
  }

  loading() {
    this._root.setAttribute("aria-busy", "true");
    if (this._root.dataset.state !== "ready") this._set("loading", el("p", { textContent: t("Loading\u2026") }));
  }

  ready() {
    this._set("ready");
  }

  /** @param {string} text @param {Node[]} actions */
  empty(text, ...actions) {
    this._set("empty", el("p", { textContent: text }), ...actions);
  }

  /** @param {Error} error @param {() => void} retry */
  failed(error, retry) {
    const title = error.status ? t("The request failed ({status})", { status: error.status }) : t("The request failed");
    this._set(
      "error",
      el("p", {}, el("strong", { textContent: title })),
      el("p", { textContent: error.message }),
      el("button", { type: "button", textContent: t("Try again"), onclick: retry }),
    );
  }

  _set(state, ...content) {
    this._root.dataset.state = state;
    if (state !== "loading") this._root.removeAttribute("aria-busy");
    const hadFocus = this._cover.contains(document.activeElement);
    this._cover.replaceChildren(...content);
    this._cover.hidden = content.length === 0;
    if (hadFocus) this._keepFocus();
  }

  /** The button that had it is gone: who goes on by key goes on here, not at the top of the page. */
  _keepFocus() {
    this._root.tabIndex = -1;
    this._root.focus({ preventScroll: true });
  }
}

/**
 * Fetches and shows what one panel is about, again when it has grown old and the page is looked at.
 * @template T
 */
export class Loader {
  /**
   * @param {object} parts
   * @param {string} parts.name for what is read aloud: "Performers"
   * @param {Panel} parts.panel
   * @param {(signal: AbortSignal, isRefresh: boolean) => Promise<import("./api.js").Answer<T>>} parts.fetch
   * @param {(answer: import("./api.js").Answer<T>, isRefresh: boolean) => void | string | Promise<void | string>} parts.show
   *   returns a sentence when there is nothing to show, or `{text, actions}`
   * @param {(error: Error) => string} [parts.emptyText] when this failure only says that there is nothing: that, in our words
   * @param {() => boolean} [parts.canRefresh] whether the answer can change with time
   * @param {number} [parts.everyMs] how often to ask anew; without it, when `Cache-Control` says that the answer has grown old
   * @param {(url: string) => void} [parts.onRequest] the request that was answered, or failed
   * @param {() => void} [parts.onFailure] there is nothing to show instead of what was shown
   * @param {(failure: string) => void} parts.onSettled "", or what went wrong in a refresh
   */
  constructor({ name, panel, fetch, show, onSettled, ...optional }) {
    Object.assign(this, { _name: name, _panel: panel, _fetch: fetch, _show: show, _onSettled: onSettled });
    this._emptyText = optional.emptyText ?? (() => "");
    this._canRefresh = optional.canRefresh ?? (() => true);
    this._onRequest = optional.onRequest ?? (() => {});
    this._onFailure = optional.onFailure ?? (() => {});
    this._everyMs = optional.everyMs;
    this._abort = new AbortController();
    this._timer = 0;
    this._dueAt = Infinity;
    this._failures = 0;
    this._isShown = false;
    addEventListener("online", () => this._failures > 0 && this._run(this._isShown));
    document.addEventListener("visibilitychange", () => this._schedule());
  }

  /** What is shown is of something else now, and what to ask for is not known yet. */
  expect() {
    this._stop();
    this._panel.loading();
  }

  /** Resolves when the panel has settled, to true, or the request was superseded, to false; never rejects. */
  load() {
    this._panel.loading();
    this._failures = 0;
    return this._run(false);
  }

  /** Stop, and show this instead. */
  settle(text, ...actions) {
    this._stop();
    this._panel.empty(text, ...actions);
  }

  /** Neither what is under way nor what was to come. */
  _stop() {
    this._abort.abort();
    clearTimeout(this._timer);
    this._dueAt = Infinity;
  }

  async _run(isRefresh) {
    this._stop();
    this._abort = new AbortController();
    const { signal } = this._abort;
    try {
      const answer = await this._fetch(signal, isRefresh);
      if (signal.aborted) return false;
      this._onRequest(answer.url);
      const nothing = await this._show(answer, isRefresh);
      if (signal.aborted) return false;
      if (nothing) this._panel.empty(nothing.text ?? nothing, ...(nothing.actions ?? []));
      else this._panel.ready();
      this._isShown = true;
      this._failures = 0;
      this._dueAt = this._canRefresh() ? Date.now() + soon(this._everyMs ?? answer.maxAgeMs) : Infinity;
      this._onSettled("");
    } catch (error) {
      if (signal.aborted) return false;
      this._fail(error, isRefresh);
    }
    this._schedule();
    return true;
  }

  /** A refresh that fails leaves what is shown: old bars are better than none. Either way it is tried again. */
  _fail(error, isRefresh) {
    if (!(error instanceof ApiError)) console.error(error);
    const nothing = this._emptyText(error);
    const text = `${t(this._name)}: ${nothing || error.message}`;
    const retryMs = RETRIES_MS[Math.min(this._failures, RETRIES_MS.length - 1)];
    this._failures += 1;
    this._dueAt = Date.now() + soon(nothing ? EMPTY_MS : retryMs);
    if (isRefresh) {
      this._onSettled(text);
      return;
    }
    this._isShown = false;
    if (error.url) this._onRequest(error.url);
    this._onFailure();
    if (nothing) this._panel.empty(nothing);
    else this._panel.failed(error, () => this.load());
    if (this._failures === 1) announce(text);
  }

  _schedule() {
    clearTimeout(this._timer);
    if (document.visibilityState !== "visible" || this._dueAt === Infinity) return;
    this._timer = setTimeout(() => this._run(this._isShown), Math.max(0, this._dueAt - Date.now()));
  }
}

const soon = (ms) => ms * (1 + Math.random() * JITTER);
