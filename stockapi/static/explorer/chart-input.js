/** The chart by keyboard, buttons and fingers; plotly.js itself only knows the mouse well. */

/**
 * @param {HTMLElement} root what has the focus
 * @param {HTMLElement} buttons those with `data-move`
 * @param {import("./chart.js").Chart} chart
 * @param {(index: number) => void} onSpoken after a key has chosen a bar
 */
export function installChartInput(root, buttons, chart, onSpoken) {
  let pointed = -1;

  const go = (target) => {
    const last = chart.count - 1;
    pointed = Math.min(last, Math.max(0, target));
    chart.point(pointed);
    onSpoken(pointed);
  };
  const from = () => (pointed < 0 || pointed >= chart.count ? chart.visible[1] : pointed);
  const keys = {
    ArrowLeft: (event) => (event.shiftKey ? chart.move("left") : go(from() - (pointed < 0 ? 0 : 1))),
    ArrowRight: (event) => (event.shiftKey ? chart.move("right") : go(from() + (pointed < 0 ? 0 : 1))),
    Home: () => go(0),
    End: () => go(chart.count - 1),
    "+": () => chart.move("in"),
    "=": () => chart.move("in"),
    "-": () => chart.move("out"),
    0: () => chart.move("reset"),
  };

  root.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || !chart.count || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(event);
  });
  root.addEventListener("blur", () => {
    if (pointed >= 0) chart.point(-1);
    pointed = -1;
  });
  // A finger that goes sideways moves the crosshair; up and down it scrolls the page (touch-action in parts.css).
  const touch = ({ pointerType, clientX }) => {
    if (pointerType !== "touch" || !chart.count) return;
    chart.point(chart.indexAt(clientX - root.getBoundingClientRect().left));
  };
  root.addEventListener("pointerdown", touch);
  root.addEventListener("pointermove", touch);
  buttons.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (button) chart.move(button.dataset.move);
  });
}
