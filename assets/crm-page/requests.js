// What was asked of the practice from this page, told in a corner until it is done.

import * as api from "./api.js";
import { day, clock, h, number } from "./dom.js";
import { offers } from "./slots.js";

const DONE_MS = 7000;
const MOST = 4;
const LOOKS = { applied: "good", rejected: "bad", expired: "bad", superseded: "quiet", unknown: "warn", conflict: "warn", task: "warn" };

class Requests {
  constructor() {
    this.shown = new Map(); // command id → {view, again, until}
    this.place = h("aside.requests", { "aria-label": "Requests to the practice" });
    this.spoken = new Map();
  }

  /** Follow a command just made. `again(slot)`: ask once more for another place. */
  follow(view, again = null) {
    this.shown.set(view.command_id, { view, again, until: null });
    this.draw();
  }

  /** Look again at what is still open, after the CRM said that something happened. */
  async refresh() {
    for (const [id, one] of [...this.shown]) {
      if (one.until !== null) continue;
      try {
        one.view = await api.command(id);
      } catch (error) {
        if (error.status === 404) this.shown.delete(id);
        else throw error;
      }
      if (one.view.state === "applied" || one.view.state === "superseded") {
        one.until = Date.now() + DONE_MS;
        setTimeout(() => this.drop(id), DONE_MS);
      }
    }
    this.draw();
  }

  drop(id) {
    const lines = this.place.querySelector(`[data-command="${CSS.escape(id)}"]`);
    if (lines?.matches(":hover, :focus-within")) {
      setTimeout(() => this.drop(id), 2000); // somebody is reading it
      return;
    }
    this.shown.delete(id);
    this.draw();
  }

  async close(id, view) {
    this.shown.delete(id);
    this.draw();
    if (!view.is_open && view.state !== "applied") await api.dismiss(id).catch(() => null);
  }

  draw() {
    const all = [...this.shown.values()].slice(-MOST).reverse();
    const drawn = JSON.stringify(all.map((one) => one.view));
    if (drawn === this.drawn) return; // nobody loses the focus, nothing is said twice
    this.drawn = drawn;
    this.place.replaceChildren(...all.map((one) => this.line(one)));
    this.place.hidden = !all.length;
  }

  line({ view, again }) {
    const look = LOOKS[view.state] || "open";
    const quick = view.state === "applied" && view.wait_ms !== null ? ` in ${view.wait_ms < 10000 ? `${number(view.wait_ms)} ms` : `${Math.round(view.wait_ms / 1000)} s`}` : "";
    const isNews = this.spoken.get(view.command_id) !== view.state;
    this.spoken.set(view.command_id, view.state);
    return h(`section.request.${look}${isNews ? ".news" : ""}`, { data: { command: view.command_id }, role: look === "bad" || look === "warn" ? "alert" : "status" },
      h("i.mark", { "aria-hidden": "true" }, { good: "✓", bad: "!", warn: "?", quiet: "–", open: "" }[look]),
      h("div", {},
        h("b", {}, about(view)),
        h("p", {}, view.told + quick, view.why && view.state !== "applied" ? h("span.why", {}, view.why) : null),
        again && !view.is_open && view.state !== "applied" ? offers(view.alternatives, (slot) => { this.close(view.command_id, view); again(slot); }, view.date) : null),
      h("button.cross", { type: "button", "aria-label": "Hide", onclick: () => this.close(view.command_id, view) }, "×"));
  }
}

/** "Booking · Ava Garza · Mon, Nov 23, 10:30 AM" */
export function about(view) {
  const when = view.date && view.minute !== null ? `${day(view.date, { weekday: "short", month: "short", day: "numeric" })}, ${clock(view.minute)}` : null;
  return [view.label, view.patient, when].filter(Boolean).join(" · ");
}

export const requests = new Requests();
