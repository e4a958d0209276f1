/** Small helpers around the document. Data reaches it as text only. */

/** The element of this id. */
export const byId = (id) => document.getElementById(id);

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | EventListener>} [properties] `on...` are listeners, `class` and those with a dash
 *   attributes, others properties such as `textContent`
 * @param {...(Node | string)} children
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "role" || name === "for" || name.includes("-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/**
 * Radio buttons that look like one segmented control; left alone while they are the same, since one of them may have the focus.
 * @param {[value: string, label: string, hint: string][]} options
 */
export function fillRadios(fieldset, name, options) {
  const present = [...fieldset.querySelectorAll("input")].map((input) => input.value);
  if (String(present) === String(options.map(([value]) => value))) return;
  const legend = fieldset.querySelector("legend");
  const labels = options.map(([value, label, hint]) =>
    el("label", { title: hint }, el("input", { type: "radio", name, value }), el("span", { textContent: label })),
  );
  fieldset.replaceChildren(legend, ...labels);
}

/** `render`, which makes the content of the container anew; what has the focus, by its `data-key`, has it afterwards too. */
export function keepingFocus(container, render) {
  const focused = document.activeElement;
  const key = container.contains(focused) ? focused.dataset.key : undefined;
  render();
  if (key !== undefined) container.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** Tick the radio button of this value, or none. */
export function chooseRadio(fieldset, value) {
  for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === value;
}

/** @param {[value: string, label: string][]} options */
export function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, textContent]) => el("option", { value, textContent })));
}

/** Pairs of a term and its value, as the content of a <dl>. @param {[term: string, value: string | Node][]} pairs */
export function fillFacts(list, pairs) {
  list.replaceChildren(...pairs.map(([term, value]) => el("div", {}, el("dt", { textContent: term }), el("dd", {}, value))));
}

/** `run`, once nothing has called for `delayMs`. */
export function debounce(run, delayMs) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...values), delayMs);
  };
}

/** Say something to those who hear the page. */
export function announce(text) {
  byId("live").textContent = text;
}
