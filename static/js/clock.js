// @ts-check
/**
 * The server's clock, as well as this page can know it. All countdowns run by it.
 *
 * Each answer that carries the server's time is a sample: the server read its clock somewhere
 * between our sending and receiving, so the sample with the shortest round trip is the best one.
 */

/** A sample is trusted over a shorter one when that is older than this; clocks drift. */
const SAMPLE_LIFE_MS = 600_000;

export class ServerClock {
  /** @param {() => number} [local] this machine's clock in ms */
  constructor(local = Date.now) {
    this.local = local;
    this.offset = 0;
    this.trip = Infinity;
    this.takenAt = -Infinity;
  }

  /** The server's time in ms. */
  now() {
    return this.local() + this.offset;
  }

  /**
   * Learns from an answer. @param {number} serverTime ms @param {number} sentAt local ms
   * @param {number} receivedAt local ms
   */
  sample(serverTime, sentAt, receivedAt) {
    const trip = Math.max(0, receivedAt - sentAt);
    if (trip > this.trip && receivedAt - this.takenAt < SAMPLE_LIFE_MS) return;
    this.offset = serverTime - (sentAt + receivedAt) / 2;
    this.trip = trip;
    this.takenAt = receivedAt;
  }

  /**
   * Learns from an HTTP Date header, which knows whole seconds only: used while nothing better is
   * known, and only where it shows this machine's clock to be wrong.
   *
   * @param {string|null} header @param {number} sentAt @param {number} receivedAt
   */
  hint(header, sentAt, receivedAt) {
    const at = header ? Date.parse(header) : NaN;
    if (Number.isNaN(at) || this.trip !== Infinity) return;
    const offset = at + 500 - (sentAt + receivedAt) / 2;
    this.offset = Math.abs(offset) > 2_000 ? offset : 0;
  }
}

/** The clock of this page. */
export const clock = new ServerClock();
