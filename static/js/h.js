// @ts-check
/**
 * The one way the pages make elements. Text becomes text nodes; there is no way to pass markup.
 */

/** @typedef {Node|string|number|null|undefined|false} Child */

const SCHEMES = /^(https?:|\/(?![/\\\s])|#|\?|data:image\/(png|jpeg|gif|webp|svg\+xml);)/i;

/** Whether an address that came from elsewhere may stand in `href` or `src`. */
export function isSafeUrl(/** @type {unknown} */ url) {
  return typeof url === "string" && SCHEMES.test(url);
}

/**
 * An element with properties and children.
 *
 * `on` takes listeners, `testid` the name for tests; `class`, `aria-…`, `data-…` and other dashed
 * names are attributes, everything else is set as a property where the element has one.
 *
 * @template {string} K
 * @param {K} tag
 * @param {Record<string, any>|null} [props]
 * @param {...(Child|Child[])} children
 * @returns {K extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[K] : HTMLElement}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) setProperty(element, name, value);
  append(element, children);
  return /** @type {any} */ (element);
}

/** @param {HTMLElement} element @param {string} name @param {any} value */
function setProperty(element, name, value) {
  if (value === undefined || value === null) return;
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (name === "testid") {
    element.setAttribute("data-testid", value);
  } else if (name === "class") {
    element.className = value;
  } else if ((name === "href" || name === "src") && !isSafeUrl(value)) {
    return;
  } else if (name in element && !name.includes("-") && !ATTRIBUTES.has(name)) {
    /** @type {any} */ (element)[name] = value;
  } else if (value !== false || name.startsWith("aria-")) {
    element.setAttribute(name, value === true ? (name.startsWith("aria-") ? "true" : "") : String(value));
  }
}

//: properties that are read-only or differ from their attribute
const ATTRIBUTES = new Set(["list", "form", "role", "width", "height", "for", "enterkeyhint", "inputmode"]);

/** @param {Element} parent @param {(Child|Child[])[]} children */
export function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child !== null && child !== undefined && child !== false) {
      parent.append(child instanceof Node ? child : String(child));
    }
  }
}

/** Replaces what an element holds. @param {Element} parent @param {...(Child|Child[])} children */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/**
 * Keeps a list of elements in step with a list of items, without touching those that stay, so that
 * focus and typed text survive.
 *
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => HTMLElement} make
 * @param {(element: HTMLElement, item: T) => void} [update]
 */
export function keyed(parent, items, key, make, update) {
  /** @type {Map<string, HTMLElement>} */
  const known = new Map();
  for (const child of Array.from(parent.children)) {
    if (child instanceof HTMLElement && child.dataset.key !== undefined) known.set(child.dataset.key, child);
    else child.remove();
  }
  let at = /** @type {Element|null} */ (parent.firstElementChild);
  for (const item of items) {
    const name = key(item);
    let element = known.get(name);
    if (element) {
      known.delete(name);
      if (update) update(element, item);
    } else {
      element = make(item);
      element.dataset.key = name;
    }
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
  for (const gone of known.values()) gone.remove();
}

const SVG = "http://www.w3.org/2000/svg";

/** 24 × 24 line drawings: those of the live room. For the others see icons.js. */
export const ICONS = {
  bag: ["M5 8h14l-1 12H6L5 8z", "M9 8V6a3 3 0 0 1 6 0v2"],
  heart: ["M12 20s-7.5-4.6-7.5-10A4.2 4.2 0 0 1 12 7.3 4.2 4.2 0 0 1 19.500 10c0 5.400-7.500 10-7.500 10z"],
  send: ["M4 12l16-8-6 16-3-6-7-2z"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  bolt: ["M13 3L5 14h6l-1 7 8-11h-6l1-7z"],
  down: ["M6 9l6 6 6-6"],
  horn: ["M4 10v4h3l8 4V6L7 10H4z", "M18 9.500a4 4 0 0 1 0 5"],
  barrage: ["M3 6h11", "M8 12h13", "M3 18h8"],
  check: ["M5 12.500l4.500 4.500L19 7.500"],
  sound: ["M4 9.500v5h3.500L12 18.500v-13L7.500 9.500H4z", "M15.500 9a4 4 0 0 1 0 6", "M18 6.500a7.500 7.500 0 0 1 0 11"],
  back: ["M14 6l-6 6 6 6"],
  reply: ["M9 7l-5 5 5 5", "M4 12h9a6 6 0 0 1 6 6v1"],
  share: ["M12 15V4", "M8 8l4-4 4 4", "M5 12v7h14v-7"],
  list: ["M8 6h12", "M8 12h12", "M8 18h12", "M4 6h.01", "M4 12h.01", "M4 18h.01"],
  sliders: ["M4 7h9", "M17 7h3", "M15 5v4", "M4 12h3", "M11 12h9", "M9 10v4", "M4 17h9", "M17 17h3", "M15 15v4"],
};

/** A picture beside words; hidden from screen readers. @param {keyof typeof ICONS} name */
export const icon = (name) => drawing(ICONS[name]);

/** @param {string[]} lines paths of SVG */
export function drawing(lines) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  for (const line of lines) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}
