// What needs a person: fields both sides changed, and people of the CRM who may be patients already.

import * as api from "./api.js";
import { Dialog } from "./dialog.js";
import { day, empty, h, number, phone, say } from "./dom.js";
import { spoken } from "./edit.js";

const WINNERS = { pms: "The practice's value holds", crm: "The CRM's value holds", merged: "Both were joined", value: "A third value was typed" };
const FIELDS = { last_name: "Last name", first_name: "First name", birthdate: "Birth date", phone: "Phone", email: "Email" };

export class Review {
  constructor() {
    this.all = false;
  }

  open(place) {
    if (this.place) return;
    this.place = place;
    this.sub = h("p.quiet", {});
    this.toggle = h("input", { type: "checkbox", checked: this.all, onchange: () => { this.all = this.toggle.checked; this.refresh(); } });
    this.conflicts = h("div.cases");
    this.suspects = h("div.cases");
    const part = (title, side, list, id) => h("section.reviewed", { "aria-labelledby": id }, h("h3", { id }, title, side), list);
    place.replaceChildren(
      h("div.toolbar", {}, h("div.when", {}, h("h2", {}, "Review"), this.sub), h("label.check", {}, this.toggle, "Show what is settled too")),
      part("Changed on both sides", null, this.conflicts, "conflicts-head"), part("Possibly the same person", null, this.suspects, "suspects-head"));
    this.drawn = "";
    this.refresh();
  }

  close() {
    this.place = null;
  }

  async refresh() {
    if (!this.place) return;
    const [fields, people] = await Promise.all([api.conflicts(this.all ? "all" : "open"), api.duplicates()]);
    const drawn = JSON.stringify([fields, people]);
    if (!this.place || drawn === this.drawn) return;
    const isUpdate = this.drawn !== "";
    this.drawn = drawn;
    const open = fields.open + people.open;
    this.sub.textContent = open ? `${number(open)} need${open === 1 ? "s" : ""} a person. Nothing else waits for ${open === 1 ? "it" : "them"}.` : "Nothing needs a person.";
    if (isUpdate) say(this.sub.textContent);
    this.conflicts.replaceChildren(...(fields.conflicts.length ? fields.conflicts.map((c) => conflict(c)) : [empty("No field was changed on both sides", "When the practice and the CRM change the same thing, both values show here.")]));
    this.suspects.replaceChildren(...(people.suspects.length ? people.suspects.map((s) => this.suspect(s)) : [empty("No doubtful matches", "Somebody new who looks like a patient shows here.")]));
  }

  suspect({ contact, candidates }) {
    const head = h("div.case-head", {}, h("b", {}, contact.name), h("span.pill.waits", {}, "Who is this?"),
      h("span.quiet", {}, "in the CRM since ", h("time", { datetime: contact.created_at }, new Date(contact.created_at).toLocaleDateString())));
    const own = { last_name: contact.last_name, first_name: contact.first_name, birthdate: contact.birthdate, phone: contact.phones.map(phone).join(", "), email: contact.emails.join(", ") };
    const rows = Object.keys(FIELDS);
    const of = (c) => ({ last_name: null, first_name: null, birthdate: c.birthdate, phone: phone(c.phone), email: (c.emails || []).join(", ") });
    const cell = (c, name) => {
      const mark = c.same.includes(name) ? "same" : c.different.includes(name) ? "other" : "";
      const text = name === "last_name" || name === "first_name" ? namePart(c.name, name) : name === "birthdate" ? born(of(c)[name]) : of(c)[name];
      return h(`td${mark ? `.${mark}` : ""}`, { "data-label": c.name }, text || "—", mark ? h("span.sr", {}, mark === "same" ? " (same)" : " (different)") : null);
    };
    return h("article.case", { "aria-label": contact.name }, head,
      h("div.scroll", { tabindex: "0", role: "region", "aria-label": `${contact.name} and possible records` }, h("table.compared", {},
        h("thead", {}, h("tr", {}, h("td"), h("th", { scope: "col" }, "In the CRM"),
          candidates.map((c) => h("th", { scope: "col" }, h("a", { href: `#/patients/${encodeURIComponent(c.key)}` }, c.name), h("small.quiet", {}, `Record ${c.key}${c.status && c.status !== "patient" ? `, ${c.status}` : ""}`))))),
        h("tbody", {}, rows.map((name) => h("tr", {}, h("th", { scope: "row" }, FIELDS[name]),
          h("td", {}, (name === "birthdate" ? born(own[name]) : own[name]) || "—"), candidates.map((c) => cell(c, name)))),
        h("tr", {}, h("th", { scope: "row" }, "Last visit"), h("td", {}, "—"), candidates.map((c) => h("td", {}, born(c.last_visit) || "never"))),
        h("tr.acts", {}, h("td"), h("td"), candidates.map((c) => h("td", {},
          h("button.plain", { type: "button", onclick: () => this.decide(contact, c, true) }, "Same person"),
          h("button.plain", { type: "button", onclick: () => this.decide(contact, c, false) }, "Not this one"))))))));
  }

  decide(contact, candidate, isSame) {
    const dialog = new Dialog({
      title: isSame ? "The same person?" : "Not the same person?", close: "Back",
      content: [h("p", {}, isSame
        ? `${contact.name} of the CRM becomes the patient ${candidate.name}, record ${candidate.key}. What is booked or changed for one then counts for both.`
        : `${contact.name} will never be taken for ${candidate.name}, record ${candidate.key}, again.`)],
      actions: [{ text: isSame ? "Yes, the same" : "Not the same", kind: "main", run: async () => {
        await (isSame ? api.linkContact : api.rejectLink)(contact.cloud_id, candidate.key);
        dialog.close();
        await this.refresh();
      } }],
    });
  }
}

const born = (text) => (text ? day(text, { month: "short", day: "numeric", year: "numeric" }) : "");

function namePart(name, part) {
  const words = name.trim().split(/\s+/);
  return part === "first_name" ? words.slice(0, -1).join(" ") : words.at(-1);
}

function conflict(c) {
  const isOpen = c.state === "open";
  const value = (title, held, side) => h(`div.side${c.winner === side ? ".won" : ""}`, {}, h("h4", {}, title), h("p", {}, spoken(null, held)), c.winner === side ? h("small.quiet", {}, "This one holds") : null);
  return h(`article.case${isOpen ? "" : ".settled"}`, { "aria-label": `${c.label} of ${c.who}` },
    h("div.case-head", {},
      c.patient_key ? h("a.who", { href: `#/patients/${encodeURIComponent(c.patient_key)}` }, c.who) : h("b", {}, c.who),
      h("span", {}, c.label), h(`span.pill.${isOpen ? "waits" : "granted"}`, {}, isOpen ? "Waits for a person" : WINNERS[c.winner] || "Settled"),
      h("time.quiet", { datetime: c.opened_at }, new Date(c.opened_at).toLocaleString([], { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" }))),
    h("div.sides", {}, value("Last agreed", c.base, "base"), value("Practice", c.pms, "pms"), value("CRM", c.crm, "crm")),
    isOpen ? h("p.quiet", {}, "It is decided in the practice: in the agent's window, or with bridgework conflicts.") : null);
}
