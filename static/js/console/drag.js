// @ts-check
/**
 * Rows that are put in order by dragging their grip, with mouse, pen or finger. Buttons do the same
 * for those who do not drag.
 */

/**
 * @param {HTMLElement} list its children are the rows
 * @param {(from: number, to: number) => void} drop
 */
export function dragRows(list, drop) {
  /** @type {HTMLElement|null} */
  let row = null;
  let from = -1;
  let to = -1;
  const rows = () => /** @type {HTMLElement[]} */ (Array.from(list.children));
  const clear = () => {
    for (const one of rows()) one.classList.remove("dragged", "drop-before", "drop-after");
    row = null;
  };
  const mark = (/** @type {number} */ y) => {
    const others = rows();
    to = others.findIndex((one) => y < one.getBoundingClientRect().bottom);
    if (to < 0) to = others.length - 1;
    others.forEach((one, at) => {
      one.classList.toggle("drop-before", at === to && to < from);
      one.classList.toggle("drop-after", at === to && to > from);
    });
  };
  list.addEventListener("pointerdown", (event) => {
    const grip = event.target instanceof Element ? event.target.closest(".grip") : null;
    row = grip && event.button === 0 ? /** @type {HTMLElement} */ (grip.closest("li")) : null;
    if (!row || !grip) return;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    from = to = rows().indexOf(row);
    row.classList.add("dragged");
  });
  list.addEventListener("pointermove", (event) => row && mark(event.clientY));
  list.addEventListener("pointerup", () => {
    if (row && rows()[from] === row && to !== from) drop(from, to);
    clear();
  });
  list.addEventListener("pointercancel", clear);
}
