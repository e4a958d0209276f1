/** The language of the page. What is written in the sources is English, and the key of its translation. */

let words = {};
let locale = "en-US";

/** For `Intl`. */
export const currentLocale = () => locale;

/** A text of the page in its language; `{name}` in it stands for a value. @param {Record<string, string | number>} [values] */
export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}
