// @ts-check
/**
 * Where a danmaku may fly: pure arithmetic, in px and ms.
 *
 * A lane is free for a new item if the item before it has fully entered, and the new one, should it
 * be longer and so faster, does not catch it before it has left.
 */

/** @typedef {{width: number, start: number, duration: number}} Flight */

/** Space between two items in a lane, in px. */
export const GAP_PX = 24;

/**
 * @param {Flight|undefined} last the newest item of the lane
 * @param {number} width of the new item @param {number} area width of the layer
 * @param {number} duration of a flight across @param {number} now
 */
export function fits(last, width, area, duration, now) {
  if (!last) return true;
  const gone = now - last.start;
  if (gone >= last.duration) return true;
  const lastSpeed = (area + last.width) / last.duration;
  const tail = area - lastSpeed * gone + last.width; // right edge of the last item now
  if (tail + GAP_PX > area) return false;
  const speed = (area + width) / duration;
  if (speed <= lastSpeed) return true;
  const leavesIn = last.duration - gone;
  return area - speed * leavesIn >= 0; // our left edge when the last one has left
}

/**
 * The first lane that is free, or -1.
 *
 * @param {(Flight|undefined)[]} lanes @param {number} width @param {number} area
 * @param {number} duration @param {number} now
 */
export function pickLane(lanes, width, area, duration, now) {
  return lanes.findIndex((last) => fits(last, width, area, duration, now));
}
