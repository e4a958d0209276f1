/** Light or dark: the system's, or the one chosen here, which is remembered. theme-early.js applies it at the start. */

import { t } from "./i18n.js";

const KEY = "theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"light" | "dark"} */
export function currentTheme() {
  return document.documentElement.dataset.theme ?? systemTheme();
}

/**
 * @param {HTMLButtonElement} button switches between the two
 * @param {() => void} onChange called after the colours have changed, by whatever cause
 */
export function installTheme(button, onChange) {
  const show = () => {
    const other = currentTheme() === "dark" ? "light" : "dark";
    button.textContent = other === "light" ? "\u2600" : "\u263e";
    const label = t(other === "light" ? "Switch to the light theme" : "Switch to the dark theme");
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  const changed = () => {
    colors.clear();
    show();
    onChange();
  };
  button.addEventListener("click", () => {
    choose(currentTheme() === "dark" ? "light" : "dark");
    changed();
  });
  systemIsDark.addEventListener("change", changed);
  show();
}

function systemTheme() {
  return systemIsDark.matches ? "dark" : "light";
}

/** A choice that is the system's own is forgotten, so that the page follows the system again. */
function choose(theme) {
  const isSystem = theme === systemTheme();
  if (isSystem) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (isSystem) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be blocked: the choice then lasts as long as the page.
  }
}

/** Of the current theme, by name. To ask the browser costs it all styles of the page anew, and a frame needs some fifty colours. */
const colors = new Map();

/** Colours of the current theme by the name of their custom property, without the dashes: `color("up")`. */
export function color(name) {
  if (!colors.has(name)) colors.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colors.get(name);
}
