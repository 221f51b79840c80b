// @ts-check
/*
 * What old browsers show: what is on sale, as plain words, and where to go on. Old syntax on purpose;
 * floor.js asks for it.
 */
(function () {
  "use strict";

  /** @param {Element} parent @param {string} tag @param {string} [text] */
  function add(parent, tag, text) {
    var element = document.createElement(tag);
    if (text) element.textContent = text;
    parent.appendChild(element);
    return element;
  }

  /** @param {string} address @param {(answer: any) => void} show gets null where it failed */
  function read(address, show) {
    var request = new XMLHttpRequest();
    request.open("GET", address);
    request.onload = function () {
      try {
        show(request.status === 200 ? JSON.parse(request.responseText) : null);
      } catch (error) {
        show(null);
      }
    };
    request.onerror = function () {
      show(null);
    };
    request.send();
  }

  /** @param {{price_cents: number, currency: string}} product */
  function price(product) {
    return (product.price_cents / 100).toFixed(2) + " " + product.currency;
  }

  /** @param {Element} main @param {any} snapshot */
  function showRoom(main, snapshot) {
    if (!snapshot) {
      add(main, "p", "现在无法打开，请稍后再试。 This cannot be opened now; please try again later.");
      return;
    }
    add(main, "h1", snapshot.room.title);
    if (snapshot.notice) add(main, "p", snapshot.notice);
    var list = add(main, "ol");
    for (var at = 0; at < snapshot.shelf.length; at += 1) {
      var product = snapshot.shelf[at];
      add(list, "li", product.title + " · " + price(product));
    }
  }

  /** @param {Element} main @param {any} rooms */
  function showRooms(main, rooms) {
    var list = add(main, "ul");
    var items = (rooms && rooms.items) || [];
    for (var at = 0; at < items.length; at += 1) {
      var way = add(add(list, "li"), "a", items[at].title);
      way.setAttribute("href", "/rooms/" + encodeURIComponent(items[at].id));
    }
  }

  function show() {
    var app = document.getElementById("app");
    if (!app) return;
    while (app.firstChild) app.removeChild(app.firstChild);
    var main = add(app, "main");
    main.setAttribute("data-testid", "plain");
    main.className = "plain-page";
    add(main, "p", "您的浏览器版本较旧，只能显示文字。看直播和购买请更新浏览器（Chrome 90、Safari 15.4 或更新）。");
    add(main, "p", "Your browser is old and shows words only. To watch and to buy, please update it (Chrome 90, Safari 15.4 or newer).");
    var room = /^\/rooms\/([^/]+)/.exec(location.pathname);
    if (room) {
      read("/v1/rooms/" + room[1], function (snapshot) {
        showRoom(main, snapshot);
      });
    } else {
      read("/v1/rooms?state=live", function (rooms) {
        showRooms(main, rooms);
      });
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
  else show();
})();
