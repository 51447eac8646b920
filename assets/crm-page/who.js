// Choosing whom a visit is for: a patient of the practice, one of the CRM's own people, somebody new.

import * as api from "./api.js";
import { field } from "./dialog.js";
import { day, h, phone } from "./dom.js";

const TYPING_MS = 120;
let count = 0;

/** `value`: what the booking takes as `patient`, or null while nobody is chosen. */
export class WhoPicker {
  constructor(known, onChange) {
    this.onChange = onChange;
    this.token = 0;
    const name = `who-${++count}`;
    this.box = h("input", { type: "search", placeholder: "Name, phone or birth date", "aria-label": "Find a person", autocomplete: "off", spellcheck: "false",
      role: "combobox", "aria-expanded": "false", "aria-controls": name, "aria-autocomplete": "list", autofocus: !known,
      oninput: () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.find(), TYPING_MS); }, onkeydown: (e) => this.key(e) });
    this.list = h("ul.hits", { id: name, role: "listbox", "aria-label": "People" });
    this.hint = h("p.quiet", { role: "status" }, "Type to find somebody, or ", h("button.inline", { type: "button", onclick: () => this.askNew() }, "enter a new person"), ".");
    this.chosen = h("div.chosen", { hidden: true });
    this.make = h("div.newcomer", { hidden: true });
    this.element = h("div.whom", {}, this.box, this.list, this.hint, this.chosen, this.make);
    if (known) this.take(known);
  }

  get isNew() {
    return Boolean(this.fields);
  }

  get value() {
    if (this.person) return this.person.key ? { key: this.person.key } : { cloud_id: this.person.cloud_id };
    if (!this.fields) return null;
    const made = {};
    for (const [name, input] of Object.entries(this.fields)) {
      const typed = input.value.trim();
      if (typed) made[name] = name === "emails" ? typed.split(/[\s,;]+/) : typed;
    }
    return made.last_name && made.first_name ? { new: made } : null;
  }

  /** Somebody known: {key | cloud_id, name}. */
  take(person) {
    this.person = person;
    this.fields = null;
    this.chosen.replaceChildren(...[h("b", {}, person.name), person.detail ? h("span.quiet", {}, person.detail) : null, person.key ? null : h("em.tag", {}, "Not in the practice yet"),
      h("button.plain", { type: "button", onclick: () => this.again() }, "Change")].filter(Boolean));
    this.show(this.chosen);
  }

  again() {
    this.person = null;
    this.fields = null;
    this.show(null);
    this.box.focus();
    this.box.select();
    this.find();
  }

  askNew() {
    const [last, first] = this.box.value.includes(",") ? this.box.value.split(",") : ["", ""];
    const words = this.box.value.trim().split(/\s+/);
    const input = (attributes, value = "") => h("input", { autocomplete: "off", oninput: () => this.onChange?.(), value, ...attributes });
    this.person = null;
    this.fields = {
      first_name: input({ type: "text", maxlength: 60 }, (first || words[0] || "").trim()),
      last_name: input({ type: "text", maxlength: 60 }, (last || words.slice(1).join(" ")).trim()),
      birthdate: input({ type: "date" }),
      phone_mobile: input({ type: "tel", maxlength: 30 }),
      emails: input({ type: "email", maxlength: 200 }),
    };
    this.make.replaceChildren(
      h("div.row", {}, field("First name", this.fields.first_name), field("Last name", this.fields.last_name)),
      h("div.row", {}, field("Birth date", this.fields.birthdate), field("Mobile", this.fields.phone_mobile)),
      field("Email", this.fields.emails),
      h("p.quiet", {}, "Known to the CRM at once, to the practice with the visit. ", h("button.inline", { type: "button", onclick: () => this.again() }, "Find somebody instead")));
    this.show(this.make);
    this.fields.first_name.focus();
  }

  show(part) {
    for (const one of [this.chosen, this.make]) one.hidden = one !== part;
    for (const one of [this.box, this.hint, this.list]) one.hidden = part !== null;
    this.onChange?.();
  }

  async find() {
    const typed = this.box.value.trim();
    const token = ++this.token;
    if (!typed) {
      this.fill([]);
      return;
    }
    let found = { people: [] }, own = { people: [] };
    try {
      [found, own] = await Promise.all([api.findPatients(typed), api.contacts(typed)]);
    } catch (error) {
      if (error.told === undefined) throw error;
    }
    if (token !== this.token) return;
    const born = (text) => (text ? day(text, { month: "short", day: "numeric", year: "numeric" }) : null);
    this.fill([
      ...found.people.slice(0, 12).map((p) => ({ key: p.key, name: p.name, detail: [born(p.birthdate), phone(p.phone)].filter(Boolean).join(" · ") })),
      ...own.people.slice(0, 6).map((p) => ({ cloud_id: p.cloud_id, name: p.name, detail: [born(p.birthdate), phone(p.phones[0])].filter(Boolean).join(" · ") })),
    ], typed);
  }

  fill(people, typed = "") {
    this.people = people;
    this.at = -1;
    this.list.replaceChildren(...people.map((p, i) => h("li", { role: "option", id: `${this.list.id}-${i}`, "aria-selected": "false", onmousedown: (e) => e.preventDefault(), onclick: () => this.take(p) },
      h("b", {}, p.name), p.key ? null : h("em.tag", {}, "CRM only"), h("span.quiet", {}, p.detail))));
    this.box.setAttribute("aria-expanded", String(people.length > 0));
    this.box.removeAttribute("aria-activedescendant");
    const make = h("button.inline", { type: "button", onclick: () => this.askNew() }, typed ? "Enter a new person" : "enter a new person");
    this.hint.replaceChildren(...(typed ? [people.length ? "Not here? " : "Nobody by that name. ", make, "."] : ["Type to find somebody, or ", make, "."]));
  }

  key(event) {
    const n = this.people?.length || 0;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!n) return;
      event.preventDefault();
      this.at = (this.at + (event.key === "ArrowDown" ? 1 : n - 1 + (this.at < 0 ? 1 : 0))) % n;
      [...this.list.children].forEach((line, i) => line.setAttribute("aria-selected", String(i === this.at)));
      this.list.children[this.at].scrollIntoView({ block: "nearest" });
      this.box.setAttribute("aria-activedescendant", this.list.children[this.at].id);
    } else if (event.key === "Enter") {
      event.preventDefault(); // never send the form from here
      if (n) this.take(this.people[Math.max(0, this.at)]);
    } else if (event.key === "Escape" && this.box.value) {
      event.preventDefault();
      event.stopPropagation();
      this.box.value = "";
      this.fill([]);
    }
  }
}
