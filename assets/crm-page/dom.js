// Small tools for building the page: elements, numbers, times. No state.

/** h("button.plain", {type: "button", onclick}, "Text", child): an element. */
export function h(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

export const number = (n) => Number(n).toLocaleString();

/** Minutes after midnight → "9:30 AM" as this computer writes times. */
export function clock(minute) {
  return new Date(2000, 0, 1, Math.floor(minute / 60), minute % 60)
    .toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
}

/** From 570, for 30 minutes → "9:30 – 10:00 AM". */
export function hours(minute, minutes) {
  const from = clock(minute), to = clock(minute + minutes);
  return `${from.slice(-2) === to.slice(-2) ? from.replace(/\s?[AP]M$/, "") : from} – ${to}`;
}

/** "2026-11-20" → "Fri, Nov 20, 2026". */
export function day(text, options = { weekday: "short", month: "short", day: "numeric", year: "numeric" }) {
  if (!text) return "";
  const [y, m, d] = text.slice(0, 10).split("-").map(Number);
  return new Date(y, m - 1, d).toLocaleDateString([], options);
}

/** Wall time "2026-11-20T09:30" → "Fri, Nov 20, 2026, 9:30 AM". */
export function moment(text) {
  if (!text) return "";
  const [h24, min] = text.slice(11, 16).split(":").map(Number);
  return `${day(text)}, ${clock(h24 * 60 + min)}`;
}

/** Days added to "2026-11-20". */
export function plusDays(text, days) {
  const [y, m, d] = text.split("-").map(Number);
  const at = new Date(Date.UTC(y, m - 1, d + days));
  return at.toISOString().slice(0, 10);
}

/** Seconds → "4 s", "3 min", "2 h", "5 days". */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

/** "+15035550142" → "(503) 555-0142"; other countries stay as they are. */
export function phone(text) {
  const us = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(text || "");
  return us ? `(${us[1]}) ${us[2]}-${us[3]}` : text || "";
}

/** "1204.50" → "$1,204.50". */
export function money(text) {
  const amount = Number(text);
  if (text === null || text === undefined || text === "" || Number.isNaN(amount)) return "";
  return amount.toLocaleString("en-US", { style: "currency", currency: "USD" });
}

/** "home_phone" → "Home phone". */
export function words(text) {
  const plain = String(text || "").replaceAll("_", " ");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** What to say when there is nothing to show. */
export function empty(title, text) {
  return h("div.empty", {}, h("p.empty-title", {}, title), text ? h("p.quiet", {}, text) : null);
}

/** A word to screen readers. */
export function say(text) {
  $("say").textContent = text;
}
