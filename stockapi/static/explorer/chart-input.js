/** The chart by keyboard and buttons; the library itself knows mice and fingers. */

/**
 * @param {HTMLElement} root what has the focus
 * @param {HTMLElement} buttons those with `data-move`
 * @param {import("./chart.js").Chart} chart
 * @param {(index: number) => void} onSpoken after a key has chosen a bar
 */
export function installChartInput(root, buttons, chart, onSpoken) {
  let pointed = -1;

  const go = (target) => {
    pointed = Math.min(chart.count - 1, Math.max(0, target));
    chart.point(pointed);
    onSpoken(pointed);
  };
  const step = (by) => go(pointed < 0 || pointed >= chart.count ? chart.visible[1] : pointed + by);
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
    if (!act || !chart.count || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(event);
  });
  root.addEventListener("blur", () => {
    if (pointed >= 0) chart.point(-1);
    pointed = -1;
  });
  buttons.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (button) chart.move(button.dataset.move);
  });
}
