/** The chart by keyboard and buttons; the library itself knows mice and fingers. */

/**
 * @param {HTMLElement} root what has the focus
 * @param {HTMLElement} buttons those with `data-move`
 * @param {import("./chart.js").Chart} chart
 * @param {(index: number) => void} onSpoken after a key has chosen a bar
 */
export function installChartInput(root, buttons, chart, onSpoken) {
  let pointedAt; // a time: while the past loads, positions become others

  const go = (target) => {
    const pointed = Math.min(chart.count - 1, Math.max(0, target));
    pointedAt = chart.timeOf(pointed);
    chart.point(pointed);
    onSpoken(pointed);
  };
  const step = (by) => {
    const pointed = chart.indexOf(pointedAt);
    go(pointed < 0 ? chart.visible[1] : pointed + by);
  };
  const keys = {
    ArrowLeft: ({ shiftKey }) => (shiftKey ? chart.move("left") : step(-1)),
    ArrowRight: ({ shiftKey }) => (shiftKey ? chart.move("right") : step(1)),
    Home: () => go(chart.visible[0]),
    End: () => go(chart.count - 1),
    "+": () => chart.move("in"),
    "=": () => chart.move("in"),
    "-": () => chart.move("out"),
    0: () => chart.move("reset"),
  };

  root.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || (!chart.count && event.key !== "0") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(event);
  });
  root.addEventListener("blur", () => {
    if (pointedAt !== undefined) chart.point(-1);
    pointedAt = undefined;
  });
  buttons.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (button) chart.move(button.dataset.move);
  });
}
