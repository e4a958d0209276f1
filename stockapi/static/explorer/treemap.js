/** Rectangles that fill another one, each as large as its weight: as square as can be, after Bruls, Huizing and van Wijk (2000). */

/** @typedef {{x: number, y: number, width: number, height: number}} Box */

/** @param {number[]} weights descending, all above zero @param {Box} box @returns {Box[]} in the same order */
export function treemap(weights, box) {
  const found = [];
  let [rest, sum] = [box, weights.reduce((total, weight) => total + weight, 0)];
  for (let start = 0; start < weights.length; ) {
    const scale = (rest.width * rest.height) / sum;
    const side = Math.min(rest.width, rest.height);
    let end = start + 1;
    while (end < weights.length && worst(weights.slice(start, end + 1), side, scale) <= worst(weights.slice(start, end), side, scale)) end += 1;
    const row = weights.slice(start, end);
    const total = row.reduce((a, b) => a + b, 0);
    found.push(...strip(row, total, rest, (total * scale) / side));
    rest = without(rest, (total * scale) / side);
    sum -= total;
    start = end;
  }
  return found;
}

/** The longest of the rectangles of a row beside that side: its length by its width. */
function worst(row, side, scale) {
  const total = row.reduce((a, b) => a + b, 0) * scale;
  return Math.max(...row.map((weight) => Math.max((side ** 2 * weight * scale) / total ** 2, total ** 2 / (side ** 2 * weight * scale))));
}

function strip(row, total, { x, y, width, height }, thickness) {
  let done = 0;
  return row.map((weight) => {
    const [from, share] = [done / total, weight / total];
    done += weight;
    return width >= height
      ? { x, y: y + from * height, width: thickness, height: share * height }
      : { x: x + from * width, y, width: share * width, height: thickness };
  });
}

const without = ({ x, y, width, height }, thickness) =>
  width >= height
    ? { x: x + thickness, y, width: width - thickness, height }
    : { x, y: y + thickness, width, height: height - thickness };
