// @ts-check
/**
 * Where a danmaku may fly: pure arithmetic, in px and ms. What follows each other in a lane is a train
 * of one speed, so nothing in it catches anything; nor does the next train.
 */

/**
 * `gone`: how far it has come; `tail`: where its last item and the gap after it end, behind its head.
 * @typedef {{speed: number, gone: number, tail: number}} Train
 */

/** What is free behind it. @param {Train|undefined} last */
const room = (last) => (last ? last.gone - last.tail : 0);

/**
 * The first lane whose last item has fully entered; else -1, or `anyway` where most of it has.
 * @param {(Train|undefined)[]} lanes @param {boolean} [anyway]
 */
export function pickLane(lanes, anyway) {
  const free = lanes.findIndex((last) => room(last) >= 0);
  if (free >= 0 || !anyway) return free;
  const rooms = lanes.map(room);
  return rooms.indexOf(Math.max(...rooms));
}

/**
 * The speed of the next train: as wanted, unless it would catch the last one before that has left.
 * @param {Train|undefined} last @param {number} area width of the layer @param {number} wanted
 */
export function speedBehind(last, area, wanted) {
  const left = last ? area + last.tail - last.gone : 0;
  return last && left > 0 ? Math.min(wanted, (last.speed * area) / left) : wanted;
}
