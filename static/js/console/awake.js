// @ts-check
/** Keeps the screen on while the show runs, where the browser can. */

/** @param {() => boolean} wanted @returns {() => Promise<void>} to be called when that may have changed */
export function keepAwake(wanted) {
  /** @type {WakeLockSentinel|null} */
  let lock = null;
  let asking = false;
  const look = async () => {
    const wish = wanted() && document.visibilityState === "visible";
    if (!wish && lock) {
      const held = lock;
      lock = null;
      await held.release();
    }
    if (!wish || lock || asking || !("wakeLock" in navigator)) return;
    asking = true;
    try {
      lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => {
        lock = null; // the system takes it back when the page is hidden
      });
    } catch {
      // low battery or a rule of the device: the screen then darkens as it always does
    } finally {
      asking = false;
    }
  };
  document.addEventListener("visibilitychange", () => void look());
  return look;
}
