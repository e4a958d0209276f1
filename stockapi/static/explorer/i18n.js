/**
 * The language of the page: the one chosen here, which is remembered, or the browser's. What is written in the sources is English,
 * and the key of its translation.
 */

const KEY = "language";
const LOCALES = { en: "en-US", vi: "vi-VN" };
const NAMES = { en: "English", vi: "Ti\u1ebfng Vi\u1ec7t" };
const ATTRIBUTES = ["aria-label", "aria-roledescription", "title", "placeholder"];

/** @type {"en" | "vi"} */
export const language = chosen() ?? navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LOCALES) ?? "en";

const words = language === "en" ? {} : (await import(`./words-${language}.js`)).WORDS;
document.documentElement.lang = language;
if (language !== "en") translate(document.body);

/** For `Intl`. */
export const currentLocale = () => LOCALES[language];

/** A text of the page in its language; `{name}` in it stands for a value. @param {Record<string, string | number>} [values] */
export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** @param {HTMLButtonElement} button loads the page in the other language */
export function installLanguage(button) {
  const other = language === "en" ? "vi" : "en";
  Object.assign(button, { textContent: other.toUpperCase(), lang: other, title: NAMES[other] });
  button.setAttribute("aria-label", `${other.toUpperCase()}, ${NAMES[other]}`); // what is seen is in what is said
  button.addEventListener("click", () => {
    try {
      localStorage.setItem(KEY, other);
    } catch {
      return; // storage may be blocked: the page then speaks the browser's language
    }
    location.reload();
  });
}

function chosen() {
  try {
    const found = localStorage.getItem(KEY);
    return found in LOCALES ? found : undefined;
  } catch {
    return undefined;
  }
}

/** What stands in the page as it was served. */
function translate(root) {
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data } = texts.currentNode;
    const found = words[data.trim().replace(/\s+/g, " ")];
    if (found) texts.currentNode.data = data.replace(data.trim(), () => found);
  }
  for (const node of root.querySelectorAll(ATTRIBUTES.map((name) => `[${name}]`).join(","))) {
    for (const name of ATTRIBUTES) {
      const found = words[node.getAttribute(name)];
      if (found) node.setAttribute(name, found);
    }
  }
}
