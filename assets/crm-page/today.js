// One day of the schedule: operatories as columns, visits as blocks, hours and blockouts behind.
// What was asked of the practice stands between them until the practice has done it.

import * as api from "./api.js";
import { desk } from "./desk.js";
import { clock, day, empty, h, plusDays, say } from "./dom.js";
import { Drag } from "./drag.js";
import { BOOK, MOVE, openBooking, openMove, openRequest, openVisit } from "./visits.js";

const PX_PER_MIN = 1.9;
const LINE_PX = 16.4; // of .visit in app.css
const SNAP = 10; // minutes
const FIXED = new Set(["complete", "broken", "note"]);
const LEGEND = [
  ["booked", "Not confirmed"], ["confirmed", "Confirmed"], ["here", "Here"],
  ["complete", "Completed"], ["broken", "Broken"], ["declined", "Declined"],
];

export class Today {
  constructor() {
    this.date = null; // null: today, whatever day that is
    this.seen = new Map();
    this.today = "";
    this.token = 0;
  }

  open(place, [date], overview) {
    const asked = /^\d{4}-\d\d-\d\d$/.test(date || "") ? date : null;
    if (!this.place) this.frame(place);
    if (asked !== this.date || !this.drawn) {
      this.date = asked;
      this.seen.clear();
      this.drawn = false;
    }
    if (overview) this.today = overview.today;
    this.refresh();
  }

  close() {
    this.place = null;
    this.drawn = false;
    this.seen.clear();
  }

  frame(place) {
    this.place = place;
    this.title = h("h2", {});
    this.sub = h("p.quiet", {});
    this.picker = h("input", { type: "date", "aria-label": "Day", onchange: (e) => e.target.value && this.go(e.target.value) });
    const step = (days, text, label) =>
      h("button.step", { type: "button", "aria-label": label, title: label, onclick: () => this.go(plusDays(this.shown, days)) }, text);
    this.booker = h("button.main", { type: "button", id: "book", title: "Book a visit (b)", onclick: () => this.bookHere() }, "Book a visit");
    this.toolbar = h("div.toolbar", {},
      h("div.when", {}, this.title, this.sub),
      h("div.legend", { "aria-label": "Colours" }, LEGEND.map(([look, text]) => h("span", {}, h(`i.swatch.look-${look}`), text))),
      h("div.steps", {}, this.booker, step(-1, "‹", "Previous day"), h("button.plain", { type: "button", onclick: () => { location.hash = "#/today"; } }, "Today"),
        step(1, "›", "Next day"), this.picker));
    this.notes = h("div.notes");
    this.board = h("div.board", { tabindex: "0", role: "region", "aria-label": "Schedule" });
    this.drag = new Drag(this.board, {
      grid: () => this.layout,
      mayMove: (visit) => !FIXED.has(visit.look) && !visit.pending && desk.whyNot(MOVE) === null,
      onDrop: (visit, aim) => openMove({ ...visit, date: this.shown }, aim),
    });
    place.replaceChildren(this.toolbar, this.notes, this.board);
  }

  get shown() {
    return this.date || this.today;
  }

  go(date) {
    location.hash = date === this.today ? "#/today" : `#/today/${date}`;
  }

  key(event) {
    if (event.target.closest?.(".board") && event.target !== this.board) return;
    if (event.key === "ArrowLeft") this.go(plusDays(this.shown, -1));
    else if (event.key === "ArrowRight") this.go(plusDays(this.shown, 1));
    else if (event.key === "t") location.hash = "#/today";
    else if (event.key === "b") {
      event.preventDefault();
      this.bookHere();
    }
  }

  bookHere() {
    openBooking({ date: this.shown });
  }

  async refresh() {
    if (!this.place || !this.shown) return;
    const token = ++this.token;
    const seen = await api.dayOf(this.shown);
    if (!this.place || token !== this.token) return;
    if (this.drag.isOn) return; // drawn when something happens after the drop, at the latest in 15 s
    this.draw(seen);
  }

  draw(seen) {
    const isToday = seen.date === this.today;
    this.title.textContent = day(seen.date, { weekday: "long", month: "long", day: "numeric", year: "numeric" });
    const live = seen.visits.filter((v) => v.look !== "broken" && v.look !== "note");
    const broken = seen.visits.filter((v) => v.look === "broken").length;
    this.sub.textContent = `${isToday ? "Today · " : ""}${live.length} visit${live.length === 1 ? "" : "s"}` +
      (broken ? ` · ${broken} broken` : "") +
      (live.some((v) => v.is_new_patient) ? ` · ${live.filter((v) => v.is_new_patient).length} new` : "");
    this.picker.value = seen.date;
    this.tellNotes(seen);
    const held = document.activeElement?.dataset?.visit;
    const scroll = [this.board.scrollTop, this.board.scrollLeft];
    if (!seen.columns.length) {
      this.board.replaceChildren(empty("No operatories have arrived yet", "They come with the first load from the practice."));
    } else {
      this.board.replaceChildren(this.grid(seen));
      if (!seen.visits.length) this.board.append(h("div.floating", {}, empty("Nothing is scheduled", "Another day?")));
    }
    if (!this.drawn) this.scrollToNow(seen);
    else [this.board.scrollTop, this.board.scrollLeft] = scroll;
    if (held) this.board.querySelector(`[data-visit="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
    this.drawn = true;
  }

  tellNotes(seen) {
    const notes = seen.blocks.filter((b) => b.kind === "practice" && (b.label || b.status !== "open"));
    this.notes.replaceChildren(
      ...desk.notices.map(([mark, text]) => h(`p.note.${mark}`, { role: "status" }, text)),
      ...notes.map((b) => h(`p.note${b.status === "holiday" ? ".holiday" : ""}`, {}, b.status === "holiday" ? `Holiday: ${b.label || "closed"}` : b.label || "Closed")));
  }

  /** First and last minute shown, whole hours. */
  hours(seen) {
    const starts = [], ends = [];
    const asked = (seen.pending || []).filter((r) => r.minute !== null).map((r) => ({ start: r.minute, minutes: r.minutes }));
    for (const b of [...seen.visits, ...asked, ...seen.blocks.filter((b) => b.minutes > 0 && b.kind !== "employee")]) {
      starts.push(b.start);
      ends.push(Math.min(1440, b.start + b.minutes));
    }
    const first = starts.length ? Math.min(...starts) : 480;
    const last = ends.length ? Math.max(...ends) : 1020;
    return [Math.floor(Math.min(first, 540) / 60) * 60, Math.ceil(Math.max(last, 960) / 60) * 60];
  }

  grid(seen) {
    const [from, to] = this.hours(seen);
    const tall = `${(to - from) * PX_PER_MIN}px`;
    const y = (minute) => `${(minute - from) * PX_PER_MIN}px`;
    const next = new Map();
    const ticks = [];
    for (let minute = from; minute < to; minute += 60) {
      ticks.push(h("span.tick", { style: { top: y(minute) } }, clock(minute).replace(":00", "")));
    }
    const columns = seen.columns.map((column) => {
      const blocks = this.behind(seen, column, from, to, y);
      const asked = (seen.pending || []).filter((r) => r.operatory_key === column.key && r.minute !== null)
        .map((request) => ({ request, start: request.minute, minutes: request.minutes }));
      const placed = lanes([...seen.visits.filter((v) => v.operatory === column.key), ...asked])
        .map(([one, lane, of]) => (one.request ? this.request(one, lane, of, y) : this.visit(one, lane, of, y, next, seen.date, column.name)));
      const element = h("div.column", { role: "group", "aria-label": column.name, style: { height: tall } }, blocks, placed);
      this.inviteBooking(element, column, seen, from);
      return element;
    });
    this.layout = { from, perMinute: PX_PER_MIN, date: seen.date, columns: seen.columns.map((c, i) => ({ key: c.key, element: columns[i] })) };
    const heads = seen.columns.map((c) => h("div.head", {}, h("b", { title: c.name }, c.name), h("span.quiet", {}, c.people.join(" · ") || " ")));
    const now = seen.now !== null && seen.now >= from && seen.now <= to
      ? h("div.now", { style: { top: y(seen.now) }, title: `Now, ${clock(seen.now)}` }, h("span", {}, clock(seen.now).replace(/\s?[AP]M/, "")))
      : null;
    const template = `4.5rem repeat(${seen.columns.length}, minmax(9rem, 1fr))`;
    this.seen = next;
    return h("div.grid", {},
      h("div.heads", { style: { gridTemplateColumns: template } }, h("div.head.corner"), heads),
      h("div.columns", { style: { gridTemplateColumns: template } }, h("div.gutter", { style: { height: tall } }, ticks), columns, now));
  }

  /** Closed hours and blockouts of a column. */
  behind(seen, column, from, to, y) {
    const here = (b) => b.operatories.includes(column.key) ||
      (!b.operatories.length && (b.kind === "blockout" || column.provider_keys.includes(b.provider_key)));
    const open = seen.blocks.filter((b) => b.kind === "provider_hours" && b.minutes > 0 && here(b));
    const anyHours = seen.blocks.some((b) => b.kind === "provider_hours" && b.minutes > 0);
    const parts = [];
    if (anyHours) {
      let at = from;
      for (const b of [...open].sort((a, c) => a.start - c.start)) {
        if (b.start > at) parts.push([at, b.start]);
        at = Math.max(at, b.start + b.minutes);
      }
      if (at < to) parts.push([at, to]);
    }
    const size = (a, b) => ({ top: y(a), height: `${(b - a) * PX_PER_MIN}px` });
    const shut = parts.map(([a, b]) => h("div.shut", { style: size(a, b), "aria-hidden": "true" }));
    const blocked = seen.blocks.filter((b) => b.kind === "blockout" && b.minutes > 0 && here(b)).map((b) =>
      h("div.blockout", { role: "listitem", style: size(b.start, b.start + b.minutes), title: b.note }, h("span", {}, b.label || "Blocked")));
    return [...shut, ...blocked];
  }

  visit(visit, lane, of, y, next, date, where) {
    const mark = JSON.stringify({ ...visit, age_ms: 0, pending: null });
    const before = this.seen.get(visit.key);
    const isFresh = this.drawn && before !== mark;
    next.set(visit.key, mark);
    const when = `${clock(visit.start)} – ${clock(visit.start + visit.minutes)}`;
    const who = visit.look === "note" ? visit.note || "Note" : visit.patient;
    const people = [visit.provider, visit.hygienist].filter(Boolean).join(" · ");
    const spoken = `${when.replace(" – ", " to ")}, ${who}, ${visit.label}${visit.work ? `, ${visit.work}` : ""}`;
    if (isFresh) say(`Changed: ${spoken}, ${day(date)}`);
    const height = visit.minutes * PX_PER_MIN - 2;
    const whole = { ...visit, date, operatoryName: where };
    const element = h(`button.visit.look-${visit.look}${isFresh ? ".arrived" : ""}${height < 40 ? ".small" : ""}${visit.pending ? ".busy" : ""}`, {
      type: "button", "aria-haspopup": "dialog",
      "aria-label": spoken, title: [when, who, visit.label, visit.work, people, visit.note].filter(Boolean).join("\n"),
      data: { visit: visit.key }, style: frame(visit, lane, of, y, height),
      onclick: () => { if (!this.drag.justDropped) openVisit(whole); },
      onpointerdown: (event) => this.drag.take(event, whole, element),
    },
      // Whole lines only: what does not fit stands in the tooltip.
      [h("span.who", {}, h("b", {}, who), visit.pending ? h("em.tag.asked", {}, `${visit.pending.label}…`) : null, visit.is_new_patient ? h("em.tag", {}, "New") : null, visit.is_asap ? h("em.tag.asap", {}, "ASAP") : null),
        h("span.at", {}, clock(visit.start).replace(/\s?[AP]M/, ""), " · ", visit.label),
        visit.work ? h("span.work", {}, visit.work) : null,
        people ? h("span.staff", {}, people) : null].filter(Boolean).slice(0, height < 40 ? 2 : Math.floor((height - 4) / LINE_PX)));
    return element;
  }

  /** A request that holds a place until the practice has done it, or was refused there. */
  request({ request, start, minutes }, lane, of, y) {
    const height = minutes * PX_PER_MIN - 2;
    const who = request.patient || request.label;
    const spoken = `${clock(start)} to ${clock(start + minutes)}, ${who}, ${request.label}: ${request.told}`;
    return h(`button.visit.look-${request.look}${height < 40 ? ".small" : ""}`, {
      type: "button", "aria-haspopup": "dialog", "aria-label": spoken, title: [who, request.label, request.told, request.why].filter(Boolean).join("\n"),
      data: { visit: request.command_id }, style: frame({ start }, lane, of, y, height), onclick: () => openRequest(request),
    },
      [h("span.who", {}, h("b", {}, who)), h("span.at", {}, clock(start).replace(/\s?[AP]M/, ""), " · ", request.label), h("span.work", {}, request.told), request.why ? h("span.work", {}, request.why) : null]
        .filter(Boolean).slice(0, height < 40 ? 2 : Math.floor((height - 4) / LINE_PX)));
  }

  /** A click on free time books there; before it, a hint says when that would be. */
  inviteBooking(element, column, seen, from) {
    if (!column.key || desk.whyNot(BOOK) !== null || seen.date < this.today) return;
    const hint = h("span.invite", { "aria-hidden": "true", hidden: true });
    element.append(hint);
    const minuteAt = (event) => from + Math.floor((event.clientY - element.getBoundingClientRect().top) / PX_PER_MIN / SNAP) * SNAP;
    const isFree = (event) => event.target === element && !this.drag.isOn && (seen.now === null || minuteAt(event) > seen.now);
    element.addEventListener("pointermove", (event) => {
      hint.hidden = event.pointerType === "touch" || !isFree(event);
      if (hint.hidden) return;
      const minute = minuteAt(event);
      hint.textContent = `+ ${clock(minute)}`;
      hint.style.top = `${(minute - from) * PX_PER_MIN}px`;
    });
    element.addEventListener("pointerleave", () => { hint.hidden = true; });
    element.addEventListener("click", (event) => {
      if (!isFree(event) || this.drag.justDropped) return;
      const minute = minuteAt(event);
      const next = Math.min(1440, ...seen.visits.filter((v) => v.operatory === column.key && v.look !== "broken" && v.start > minute).map((v) => v.start));
      openBooking({ date: seen.date, operatory: column.key, minute, minutes: [30, 20, 15].find((m) => m <= next - minute) || 10 });
    });
  }

  scrollToNow(seen) {
    const [from] = this.hours(seen);
    const first = seen.visits.length ? Math.min(...seen.visits.map((v) => v.start)) : from;
    const aim = seen.now !== null ? seen.now - 90 : first - 15;
    this.board.scrollTop = Math.max(0, (aim - from) * PX_PER_MIN);
  }
}

const frame = (one, lane, of, y, height) =>
  ({ top: y(one.start), height: `${height}px`, left: `calc(${(100 * lane) / of}% + 2px)`, width: `calc(${100 / of}% - 4px)` });

/** Side by side where visits of one operatory overlap: [visit, lane, lanes]. */
function lanes(visits) {
  const sorted = [...visits].sort((a, b) => a.start - b.start || b.minutes - a.minutes);
  const placed = [];
  let group = [], ends = [], until = -1;
  const flush = () => { for (const [v, lane] of group) placed.push([v, lane, ends.length]); group = []; ends = []; };
  for (const visit of sorted) {
    if (visit.start >= until) flush();
    let lane = ends.findIndex((end) => end <= visit.start);
    if (lane < 0) lane = ends.length;
    ends[lane] = visit.start + visit.minutes;
    group.push([visit, lane]);
    until = Math.max(until, ends[lane]);
  }
  flush();
  return placed;
}
