// Choosing a free place: day, length, operatory and provider above, times as one radio group.

import * as api from "./api.js";
import { choose, field } from "./dialog.js";
import { clock, day, h, hours, plusDays } from "./dom.js";

const LENGTHS = [10, 15, 20, 30, 40, 45, 50, 60, 75, 80, 90, 100, 120, 150, 180, 240];
const PARTS = [["Morning", 0, 720], ["Afternoon", 720, 1020], ["Evening", 1020, 1440]];

/**
 * `wish`: {date, minutes, operatory?, minute?, provider?, moving?}. `chosen` is a Slot of the CRM or
 * null; `onChange` hears of every new choice.
 */
export class SlotPicker {
  constructor(wish, onChange) {
    this.wish = { provider: "", operatory: "", minute: null, moving: null, ...wish };
    this.onChange = onChange;
    this.chosen = null;
    this.token = 0;
    this.operatories = new Map();
    this.providers = new Map();
    this.date = h("input", { type: "date", value: this.wish.date, onchange: () => this.date.value && this.set({ date: this.date.value }) });
    const lengths = [...new Set([...LENGTHS, this.wish.minutes])].sort((a, b) => a - b);
    this.length = choose(lengths.map((m) => [m, `${m} min`]), this.wish.minutes, { onchange: () => this.set({ minutes: Number(this.length.value) }) });
    this.operatory = choose([["", "Any"]], "", { onchange: () => this.set({ operatory: this.operatory.value }) });
    this.provider = choose([["", "Any"]], "", { onchange: () => this.set({ provider: this.provider.value }) });
    this.times = h("div.times", { role: "radiogroup", "aria-label": "Free times", "aria-live": "off" });
    this.word = h("p.picked", { role: "status" });
    const step = (days, text, label) => h("button.step", { type: "button", "aria-label": label, onclick: () => this.set({ date: plusDays(this.wish.date, days) }) }, text);
    this.element = h("div.picker", {},
      h("div.row", {}, h("div.dated", {}, step(-1, "‹", "Day before"), field("Day", this.date), step(1, "›", "Day after")),
        field("Length", this.length), field("Operatory", this.operatory), field("Provider", this.provider)),
      this.times, this.word);
    this.load();
  }

  /** Change the wish; what was chosen stays chosen where it is still free. */
  set(change) {
    if (this.chosen) Object.assign(this.wish, { minute: this.chosen.minute });
    Object.assign(this.wish, change);
    this.date.value = this.wish.date;
    this.length.value = this.wish.minutes;
    return this.load();
  }

  /** Take a slot the CRM or the practice offered. */
  take(slot) {
    return this.set({ date: slot.at.slice(0, 10), minutes: slot.minutes, operatory: slot.operatory_key, minute: slot.minute, provider: "" });
  }

  async load() {
    const token = ++this.token;
    const { date, minutes, operatory, provider, moving } = this.wish;
    this.times.setAttribute("aria-busy", "true");
    let seen;
    try {
      seen = await api.slots({ date, minutes, operatory, provider, moving, limit: 2000 });
    } catch (error) {
      if (token !== this.token) return;
      this.times.replaceChildren(h("p.quiet", {}, error.told || "The CRM does not answer."));
      this.pick(null);
      return;
    }
    if (token !== this.token) return;
    this.times.removeAttribute("aria-busy");
    this.slots = seen.slots;
    for (const s of seen.slots) {
      this.operatories.set(s.operatory_key, s.operatory);
      if (s.provider_key) this.providers.set(s.provider_key, s.provider);
    }
    this.fill(this.operatory, this.operatories, operatory);
    this.fill(this.provider, this.providers, provider);
    this.draw(seen);
  }

  fill(select, known, chosen) {
    const options = [["", "Any"], ...[...known].sort((a, b) => a[1].localeCompare(b[1], undefined, { numeric: true }))];
    if (chosen && !known.has(chosen)) options.push([chosen, "This one"]);
    select.replaceChildren(...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  }

  draw(seen) {
    const byTime = new Map();
    for (const s of seen.slots) if (!byTime.has(s.minute)) byTime.set(s.minute, s);
    const wanted = this.wish.minute === null ? null : byTime.get(this.wish.minute) || null;
    const name = `slot-${this.token}`;
    const chip = (s) => h("label.chip", {},
      h("input", { type: "radio", name, value: s.minute, checked: s === wanted, onchange: () => this.pick(s) }), h("span", {}, clock(s.minute)));
    const parts = PARTS.map(([title, from, to]) => {
      const here = [...byTime.values()].filter((s) => s.minute >= from && s.minute < to);
      return here.length ? h("div.daypart", { role: "group", "aria-label": title }, h("h4", {}, title), h("div.chips", {}, here.map(chip))) : null;
    }).filter(Boolean);
    this.times.replaceChildren(...(parts.length ? parts : [h("p.quiet.none", {}, this.nothing(seen))]));
    const missed = this.wish.minute !== null && !wanted && parts.length > 0;
    this.pick(wanted, missed ? `${clock(this.wish.minute)} is not free for ${this.wish.minutes} minutes. Choose another time.` : "");
    this.times.querySelector("input:checked")?.closest("label").scrollIntoView({ block: "nearest" });
  }

  nothing(seen) {
    if (seen.suspended) return "Booking is paused by the practice; no times are offered.";
    return `Nothing is free for ${this.wish.minutes} minutes on ${day(this.wish.date, { weekday: "long", month: "short", day: "numeric" })}.`;
  }

  pick(slot, word = "") {
    this.chosen = slot;
    this.word.classList.toggle("missed", Boolean(word));
    this.word.replaceChildren(slot ? told(slot) : word);
    this.onChange?.(slot);
  }
}

/** "Mon, Nov 23 · 10:30 – 11:10 AM · Op 2 · Dr Lee"; without the day where it is `known`. */
export function told(slot, known = null) {
  const date = slot.at.slice(0, 10);
  return [date === known ? null : day(date, { weekday: "short", month: "short", day: "numeric" }), hours(slot.minute, slot.minutes), slot.operatory, slot.provider].filter(Boolean).join(" · ");
}

/** Buttons that offer other places. */
export function offers(slots, take, known = null) {
  if (!slots?.length) return null;
  return h("div.offers", { role: "group", "aria-label": "Other free times" },
    slots.slice(0, 6).map((s) => h("button.plain", { type: "button", onclick: () => take(s) }, told(s, known))));
}
