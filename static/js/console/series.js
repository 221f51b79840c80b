// @ts-check
/** What a figure was over the last half hour, kept in the page in steps. Pure. */

/** One step, in ms. */
export const STEP_MS = 5_000;
/** Steps that are kept: half an hour. */
export const STEPS = 360;
/** Steps of one minute. */
export const MINUTE = 12;

export class Series {
  constructor() {
    /** step -> value @type {Map<number, number>} */
    this.steps = new Map();
  }

  /** The value as of now; the last of a step stands for it. @param {number} at ms @param {number} value */
  set(at, value) {
    this.put(Math.floor(at / STEP_MS), value);
  }

  /** So much more happened. @param {number} at ms @param {number} value */
  add(at, value) {
    const step = Math.floor(at / STEP_MS);
    this.put(step, (this.steps.get(step) || 0) + value);
  }

  /** @param {number} step @param {number} value */
  put(step, value) {
    this.steps.set(step, value);
    for (const old of this.steps.keys()) {
      if (old > step - STEPS) break; // a map keeps the order in which its keys came
      this.steps.delete(old);
    }
  }

  /** The value at every step up to now; between two known ones the older stands. @param {number} now ms */
  levels(now) {
    const [first, last] = this.range(now);
    const line = [];
    let level = 0;
    for (let step = first; step <= last; step += 1) {
      level = this.steps.get(step) ?? level;
      line.push(level);
    }
    return line;
  }

  /** How much happened in the minute before every step. @param {number} now ms */
  perMinute(now) {
    const [first, last] = this.range(now);
    const line = [];
    let sum = 0;
    for (let step = first; step <= last; step += 1) {
      sum += (this.steps.get(step) || 0) - (this.steps.get(step - MINUTE) || 0);
      line.push(sum);
    }
    return line;
  }

  /** @param {number} now ms @returns {[number, number]} */
  range(now) {
    const last = Math.floor(now / STEP_MS);
    const known = this.steps.size ? /** @type {number} */ (this.steps.keys().next().value) : last;
    return [Math.max(known, last - STEPS + 1), last];
  }
}
