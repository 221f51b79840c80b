// @ts-check
/** One timer for everything on a page that shows time; nothing runs while nobody looks. */

const TICK_MS = 200;

/** @type {Set<() => void>} */
const watchers = new Set();
let timer = 0;

function run() {
  if (document.visibilityState === "hidden") return;
  for (const watcher of Array.from(watchers)) watcher();
}

if (typeof document !== "undefined") document.addEventListener("visibilitychange", run);

/** Calls back five times a second. @param {() => void} watcher @returns {() => void} ends it */
export function onTick(watcher) {
  watchers.add(watcher);
  if (!timer) timer = window.setInterval(run, TICK_MS);
  return () => {
    watchers.delete(watcher);
    if (watchers.size || !timer) return;
    clearInterval(timer);
    timer = 0;
  };
}
