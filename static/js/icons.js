// @ts-check
/** The drawings that the live room does not show, beside those that it does. */

import { ICONS, drawing } from "./h.js";

const ALL = {
  ...ICONS,
  eye: ["M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12z", "M12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5z"],
  up: ["M6 15l6-6 6 6"],
  pin: ["M9 4h6l-1 6 3 3H7l3-3-1-6z", "M12 13v7"],
  plus: ["M12 5v14", "M5 12h14"],
  minus: ["M5 12h14"],
  camera: ["M4 7h11v10H4z", "M15 10.500l5-3v9l-5-3"],
  grip: ["M9 6h.01", "M15 6h.01", "M9 12h.01", "M15 12h.01", "M9 18h.01", "M15 18h.01"],
  shop: ["M4 9l1.500-5h13L20 9", "M4 9h16v2a2.700 2.700 0 0 1-5.300 0 2.700 2.700 0 0 1-5.400 0A2.700 2.700 0 0 1 4 11V9z", "M6 13.500V20h12v-6.500"],
  copy: ["M9 9h11v11H9z", "M15 9V4H4v11h5"],
  block: ["M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17z", "M6 6l12 12"],
  clock: ["M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17z", "M12 8v4.500l3 2"],
};

/** A picture beside words; hidden from screen readers. @param {keyof typeof ALL} name */
export const icon = (name) => drawing(ALL[name]);
