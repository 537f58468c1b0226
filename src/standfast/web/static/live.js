// What a browser with scripts has beyond the pages themselves: times in the reader's zone, and
// parts that are brought up to date. Everything works without it.
"use strict";

const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const format = new Intl.DateTimeFormat(undefined, parts);
const precise = new Intl.DateTimeFormat(undefined, { ...parts, fractionalSecondDigits: 3 });

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const when = new Date(time.dateTime);
    if (!Number.isNaN(when.getTime())) time.textContent = ("precise" in time.dataset ? precise : format).format(when);
  }
}

function replace(element, html) {
  // The focus stays where it was: on the link with the same address.
  const focused = element.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  element.innerHTML = html; // written by our own server, which has escaped what was recorded
  localTimes(element);
  if (focused !== null) {
    for (const link of element.querySelectorAll("a[href]")) {
      if (link.getAttribute("href") === focused) link.focus();
    }
  }
}

function sayLive(live) {
  for (const sign of document.querySelectorAll("[data-when-live]")) sign.hidden = !live;
  for (const sign of document.querySelectorAll("[data-when-still]")) sign.hidden = live;
}

function follow(element) {
  const events = new EventSource(element.dataset.live);
  let first = null;
  events.addEventListener("message", (event) => {
    if (element.dataset.mode === "replace") {
      replace(element, event.data);
      sayLive(true);
    } else if (first === null) {
      first = event.data;
    } else if (event.data !== first) {
      element.hidden = false;
    }
  });
  events.addEventListener("error", () => sayLive(false));
  window.addEventListener("pagehide", () => events.close());
}

localTimes(document);
for (const sign of document.querySelectorAll("[data-zone]")) {
  sign.textContent = `your zone (${Intl.DateTimeFormat().resolvedOptions().timeZone}), UTC on hover`;
}
for (const element of document.querySelectorAll("[data-live]")) follow(element);
