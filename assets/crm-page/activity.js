// Arrivals as they come, newest first, in plain words.

import * as api from "./api.js";
import { empty, h, number, say } from "./dom.js";

const MARKS = { new: "+", change: "✎", gone: "−", load: "⇣" };
const MARK_WORDS = { new: "New", change: "Changed", gone: "Removed", load: "Loaded" };
const MOST = 400;

export class Activity {
  constructor() {
    this.lines = [];
  }

  open(place) {
    if (this.place) return;
    this.place = place;
    this.list = h("ol.activity", { "aria-label": "Arrivals" });
    this.older = h("button.plain.older", { type: "button", hidden: true, onclick: () => this.loadOlder() }, "Show older");
    this.speed = h("p.quiet", {});
    place.replaceChildren(h("div.toolbar", {}, h("div.when", {}, h("h2", {}, "Activity"), this.speed)), this.list, this.older);
    this.lines = [];
    this.drawn = false;
    this.refresh();
  }

  close() {
    this.place = null;
  }

  async refresh() {
    if (!this.place) return;
    const seen = await api.activity();
    if (!this.place) return;
    const top = this.lines.length ? this.lines[0].id : 0;
    const fresh = seen.lines.filter((line) => line.id > top);
    if (fresh.length === seen.lines.length && this.drawn) this.lines = []; // more came than one page holds
    if (!this.drawn || !this.lines.length) {
      this.lines = seen.lines;
      this.list.replaceChildren(...this.lines.map((line) => this.line(line, this.drawn)));
      this.older.hidden = !seen.more;
    } else if (fresh.length) {
      this.lines = [...fresh, ...this.lines].slice(0, MOST);
      this.list.prepend(...fresh.map((line) => this.line(line, true)));
      while (this.list.children.length > MOST) this.list.lastChild.remove();
      say(`${fresh.length} new`);
    }
    if (!this.lines.length) this.list.replaceChildren(h("li", {}, empty("Nothing has arrived yet", "Changes in the practice show here the moment they come in.")));
    this.tellSpeed();
    this.drawn = true;
  }

  async loadOlder() {
    const last = this.lines.at(-1);
    if (!last) return;
    const seen = await api.activity(last.id);
    this.lines.push(...seen.lines);
    this.list.append(...seen.lines.map((line) => this.line(line, false)));
    this.older.hidden = !seen.more;
  }

  tellSpeed() {
    const took = this.lines.slice(0, 60).map((l) => l.latency_ms).filter((ms) => ms !== null).sort((a, b) => a - b);
    this.speed.textContent = took.length
      ? `Half of the newest ${took.length} were here within ${number(took[Math.floor(took.length / 2)])} ms of leaving the agent's journal.`
      : "As the agent sends it.";
  }

  line(line, isFresh) {
    const at = new Date(line.at);
    const time = at.toLocaleTimeString([], { hour: "numeric", minute: "2-digit", second: "2-digit" });
    const who = line.who
      ? line.patient_key ? h("a.who", { href: `#/patients/${encodeURIComponent(line.patient_key)}` }, line.who) : h("b.who", {}, line.who)
      : null;
    return h(`li.${line.mark}${isFresh ? ".arrived" : ""}`, {},
      h("span.mark", { title: MARK_WORDS[line.mark], role: "img", "aria-label": MARK_WORDS[line.mark] }, MARKS[line.mark]),
      h("span.told", {}, who, who ? " " : null, line.text),
      line.latency_ms !== null ? h(`span.speed${line.latency_ms > 1000 ? ".slow" : ""}`, { title: "From the agent's journal to here" }, `${number(line.latency_ms)} ms`) : h("span"),
      h("time.quiet", { datetime: line.at, title: at.toLocaleString() }, time));
  }
}
