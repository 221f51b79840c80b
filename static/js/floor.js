// @ts-check
/*
 * For browsers too old for the pages (below Chrome 90 and Safari 15.4): they get plain words instead
 * (plain.js). Old syntax on purpose; loaded by every page before its module.
 */
(function () {
  "use strict";
  var known =
    "replaceChildren" in Element.prototype &&
    typeof Promise !== "undefined" &&
    "allSettled" in Promise &&
    typeof HTMLDialogElement !== "undefined" &&
    "replaceAll" in String.prototype;
  if (known) return;
  document.documentElement.setAttribute("data-floor", "below");
  var script = document.createElement("script");
  script.src = "/static/js/plain.js";
  document.head.appendChild(script);
})();
