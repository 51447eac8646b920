// People: search as you type on the left, one person's card on the right.

import * as api from "./api.js";
import { desk } from "./desk.js";
import { CONSENT, EDIT, openConsent, openEdit, spoken } from "./edit.js";
import { BOOK, openBooking, requestLine } from "./visits.js";
import { day, empty, h, moment, money, number, phone, say, words } from "./dom.js";

const TYPING_MS = 90;

export class Patients {
  constructor() {
    this.key = null;
    this.typed = "";
    this.token = 0;
  }

  open(place, [key], overview) {
    if (overview) this.today = overview.today;
    if (!this.place) this.frame(place);
    if ((key || null) !== this.key || !this.card.firstChild) {
      this.key = key || null;
      this.drawnCard = "";
      this.card.scrollTop = 0;
      this.showCard();
    }
    this.mark();
  }

  close() {
    this.place = null;
  }

  focus() {
    this.box?.focus();
    this.box?.select();
  }

  frame(place) {
    this.place = place;
    this.box = h("input", {
      type: "search", placeholder: "Name, phone or birth date", "aria-label": "Find a patient", autocomplete: "off",
      spellcheck: "false", "aria-controls": "people", value: this.typed,
      oninput: () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.find(), TYPING_MS); },
      onkeydown: (e) => {
        if (e.key === "ArrowDown") { e.preventDefault(); this.list.querySelector("a")?.focus(); }
        if (e.key === "Enter") { const first = this.list.querySelector("a"); if (first) location.hash = first.hash; }
      },
    });
    this.found = h("p.quiet.found", { role: "status" });
    this.list = h("nav.people", { id: "people", "aria-label": "Found", onkeydown: (e) => this.walk(e) });
    this.card = h("section.card", { "aria-label": "Patient", tabindex: "-1" });
    place.replaceChildren(h("div.finder", {}, h("div.box", {}, this.box, h("kbd", { "aria-hidden": "true" }, "/")), this.found, this.list), this.card);
    this.drawnList = "";
    this.drawnCard = "";
    this.find();
  }

  walk(event) {
    const links = [...this.list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "ArrowDown") links[Math.min(at + 1, links.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (at <= 0 ? this.box : links[at - 1]).focus();
    else return;
    event.preventDefault();
  }

  async refresh() {
    if (!this.place) return;
    await this.find();
    await this.showCard();
  }

  async find() {
    this.typed = this.box.value;
    const token = ++this.token;
    const seen = await api.findPatients(this.typed);
    if (!this.place || token !== this.token) return;
    const drawn = JSON.stringify(seen);
    if (drawn === this.drawnList) return;
    this.drawnList = drawn;
    const n = seen.people.length;
    this.found.textContent = this.typed.trim()
      ? `${seen.more ? `First ${n}` : number(n)} found` : n ? `${seen.more ? `First ${n}, by name` : `${n} patients`}` : "";
    const held = this.list.contains(document.activeElement) ? document.activeElement.hash : null;
    this.list.replaceChildren(...(n ? seen.people.map((p) => this.line(p)) : [
      this.typed.trim() ? empty("Nobody by that name", "Try part of a name, the last digits of a phone, or 3/14/1985.")
        : empty("No patients have arrived yet", "They come with the first load from the practice.")]));
    if (held) [...this.list.querySelectorAll("a")].find((a) => a.hash === held)?.focus();
    this.mark();
  }

  line(p) {
    const born = p.birthdate ? `${day(p.birthdate, { month: "short", day: "numeric", year: "numeric" })}${p.age !== null ? ` · ${p.age}` : ""}` : "";
    return h("a", { href: `#/patients/${encodeURIComponent(p.key)}`, data: { key: p.key } },
      h("b", {}, p.name, p.preferred_name && p.preferred_name !== p.name ? h("span.quiet", {}, ` “${p.preferred_name}”`) : null),
      p.status !== "patient" ? h("em.tag", {}, words(p.status)) : null,
      h("span.quiet", {}, [born, phone(p.phone)].filter(Boolean).join("  ·  ") || "No contact on file"));
  }

  mark() {
    for (const link of this.list?.querySelectorAll("a") || []) {
      if (link.dataset.key === this.key) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  async showCard() {
    if (!this.place) return;
    if (!this.key) {
      this.card.replaceChildren(empty("Choose a person", "Their visits, family, balance and plans show here and stay up to date."));
      return;
    }
    const key = this.key;
    let seen;
    try {
      seen = await api.patient(key);
    } catch (error) {
      if (error.status !== 404 || key !== this.key) throw error;
      this.card.replaceChildren(empty("This patient is not here", "The record has not arrived, or was removed in the practice."));
      return;
    }
    if (!this.place || key !== this.key) return;
    const drawn = JSON.stringify(seen);
    if (drawn === this.drawnCard) return;
    const known = JSON.stringify({ ...seen, pending: null, conflicts: null });
    const isUpdate = this.drawnCard !== "", isNews = isUpdate && known !== this.known;
    this.drawnCard = drawn;
    this.known = known;
    const top = this.card.scrollTop;
    const held = this.card.contains(document.activeElement) ? document.activeElement.id : "";
    this.card.replaceChildren(...cardOf(seen, this.today));
    this.card.scrollTop = isUpdate ? top : 0;
    if (held) document.getElementById(held)?.focus({ preventScroll: true });
    if (isNews) {
      say(`${seen.name} changed`);
      this.card.classList.remove("arrived");
      requestAnimationFrame(() => this.card.classList.add("arrived"));
    } else if (!isUpdate) this.card.classList.remove("arrived");
  }
}

// --- the card ------------------------------------------------------------------------------------

function cardOf(seen, today) {
  const p = seen.person;
  const about = [
    seen.age !== null ? `${seen.age} years` : null,
    p.birthdate ? `born ${day(p.birthdate, { month: "short", day: "numeric", year: "numeric" })}` : null,
    p.gender && p.gender !== "unknown" ? words(p.gender) : null,
    p.marital_status && p.marital_status !== "unknown" ? words(p.marital_status) : null,
    seen.provider ? `sees ${seen.provider}` : null,
  ].filter(Boolean).join(" · ");
  const alerts = [p.urgent_note, p.needs_premedication ? "Needs premedication" : null, p.appointment_note].filter(Boolean);
  return [
    h("div.person", {},
      h("span.face", { "aria-hidden": "true" }, initials(seen.name)),
      h("div", {}, h("h2", {}, seen.name, p.preferred_name && p.preferred_name !== p.first_name ? h("span.quiet", {}, ` “${p.preferred_name}”`) : null,
        p.status && p.status !== "patient" ? h("em.tag", {}, words(p.status)) : null), h("p.quiet", {}, about)),
      h("div.acts", {}, h("p.quiet.keyline", {}, `Record ${seen.key}`),
        h("button.plain", { type: "button", id: "card-edit", disabled: !desk.fields.length || desk.whyNot(EDIT) !== null, title: desk.whyNot(EDIT) || undefined, onclick: () => openEdit(seen) }, "Edit"),
        h("button.main", { type: "button", id: "card-book", disabled: desk.whyNot(BOOK) !== null, title: desk.whyNot(BOOK) || undefined, onclick: () => openBooking({ date: today }, { key: seen.key, name: seen.name }) }, "Book a visit"))),
    alerts.length ? h("div.alerts", {}, alerts.map((a) => h("p", {}, a))) : null,
    asked(seen),
    h("div.panels", {}, visits(seen), contact(p), plan(seen.plan), balance(seen), recalls(seen.recalls), family(seen), coverage(seen.coverage), consent(seen), communications(seen.communications), more(seen)),
  ].filter(Boolean);
}

const initials = (name) => name.split(/\s+/).filter(Boolean).map((w) => w[0]).filter((_, i, all) => i === 0 || i === all.length - 1).join("").toUpperCase();

const panel = (title, side, ...content) =>
  h("section.panel", {}, h("h3", {}, title, side ? h("span.quiet", {}, side) : null), ...content);

const facts = (pairs) => {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return known.length ? h("dl.facts", {}, known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])) : null;
};

const none = (text) => h("p.quiet.none", {}, text);

function contact(p) {
  const emails = p.emails?.length ? p.emails : p.email_raw ? [p.email_raw] : [];
  const place = [p.address, p.address2, [[p.city, p.state].filter(Boolean).join(", "), p.postal_code].filter(Boolean).join(" ")].filter(Boolean);
  const shown = facts([
    ["Mobile", phone(p.phone_mobile || p.phone_mobile_raw)], ["Home", phone(p.phone_home || p.phone_home_raw)], ["Work", phone(p.phone_work || p.phone_work_raw)],
    ["Email", emails.length ? emails.join(", ") : null],
    ["Address", place.length ? h("span", {}, place.flatMap((line, i) => (i ? [h("br"), line] : [line]))) : null],
    ["Prefers", p.preferred_contact && p.preferred_contact !== "none" ? words(p.preferred_contact) : null],
    ["Confirm by", p.preferred_confirm && p.preferred_confirm !== "none" ? words(p.preferred_confirm) : null],
    ["Recall by", p.preferred_recall && p.preferred_recall !== "none" ? words(p.preferred_recall) : null],
    ["Language", p.language], ["Emergency", [p.emergency_contact, phone(p.emergency_phone)].filter(Boolean).join(", ")],
  ]);
  return panel("Contact", "", shown || none("No way to reach them is on file."));
}

/** What was asked of the practice about this person, and what both sides changed. */
function asked(seen) {
  const pending = (seen.pending || []).filter((view) => view.is_open || !["applied", "superseded"].includes(view.state));
  const conflicts = seen.conflicts || [];
  if (!pending.length && !conflicts.length) return null;
  const fields = (view) => Object.entries(view.fields || {});
  const label = (name) => desk.fields.find((spec) => spec.name === name)?.label || words(name);
  return h("section.asked-of", { "aria-label": "Asked of the practice" },
    pending.map((view) => h("div.ask", { data: { command: view.command_id } }, requestLine(view),
      fields(view).length ? h("ul", {}, fields(view).map(([name, value]) => h("li", {}, `${label(name)}: `, h("b", {}, spoken(null, value)),
        view.kept_fields?.includes(name) ? h("span.quiet", {}, " (a person decides)") : null))) : null,
      view.is_open ? null : h("button.plain", { type: "button", onclick: () => api.dismiss(view.command_id).catch(() => null) }, "Hide"))),
    conflicts.map((c) => h("p.asked.bad", {}, h("b", {}, `${c.label}: `), `both sides changed it. Practice: ${spoken(null, c.pms)}. CRM: ${spoken(null, c.crm)}. `, h("a.link", { href: "#/review" }, "Review"))));
}

function consent(seen) {
  const p = seen.person;
  const change = (channel, name) => (desk.whyNot(CONSENT) === null
    ? h("button.inline", { type: "button", id: `consent-${channel}`, "aria-label": `Change consent to ${name}`, onclick: () => openConsent(seen, channel) }, "Change") : null);
  const line = (channel, name, word, source, at, outs) => {
    const value = word || "unknown";
    const detail = [source ? `from ${source}` : null, at ? day(at) : null, outs?.length ? `not for ${outs.map((o) => words(o).toLowerCase()).join(", ")}` : null].filter(Boolean).join(" · ");
    return h("li.consent", {}, h(`span.pill.${value}`, {}, { granted: "Yes", denied: "No", unknown: "Not asked" }[value] || words(value)),
      h("span", {}, h("b", {}, name), detail ? h("span.quiet", {}, ` ${detail}`) : null, " ", change(channel, name.toLowerCase())));
  };
  return panel("Consent", "", h("ul.lines", {},
    line("sms", "Text messages", p.sms_consent, p.sms_consent_source, p.sms_consent_at, p.opt_out_sms),
    line("email", "Email", p.email_consent, p.email_consent_source, p.email_consent_at, p.opt_out_email)));
}

function family(seen) {
  const others = seen.family.filter((m) => m.key !== seen.key);
  if (!others.length) return panel("Family", "", none("Nobody else in this family."));
  return panel("Family", `${seen.family.length} people`, h("ul.lines", {}, seen.family.map((m) =>
    h("li", {}, m.key === seen.key ? h("b", {}, m.name) : h("a", { href: `#/patients/${encodeURIComponent(m.key)}` }, m.name),
      h("span.quiet", {}, m.age !== null ? ` ${m.age}` : ""), m.is_guarantor ? h("em.tag", {}, "Guarantor") : null,
      m.status !== "patient" ? h("em.tag", {}, words(m.status)) : null))));
}

function visits(seen) {
  const line = (v) => h("li.visit-line", {}, h(`i.swatch.look-${v.look}`, { title: v.label }),
    h("span", {}, h("b", {}, v.at ? moment(v.at) : "Not scheduled"), h("span.quiet", {}, ` ${v.label}`), h("br"),
      h("span", {}, v.work || "Visit"), h("span.quiet", {}, [v.provider, v.operatory, v.minutes ? `${v.minutes} min` : null].filter(Boolean).map((t) => ` · ${t}`).join(""))));
  const part = (title, list, none_) => list.length ? [h("h4", {}, title), h("ul.lines", {}, list.map(line))] : none_ ? [h("h4", {}, title), none(none_)] : [];
  return h("section.panel.tall", {}, h("h3", {}, "Visits", h("span.quiet", {}, `${seen.past_count + seen.upcoming.length}`)),
    ...part("Coming up", seen.upcoming, "No visit is booked."), ...part("To be scheduled", seen.waiting, ""), ...part("Past", seen.past, ""));
}

function recalls(list) {
  if (!list.length) return panel("Recalls", "", none("No recall is set up."));
  const today = new Date().toISOString().slice(0, 10);
  return panel("Recalls", "", h("ul.lines", {}, list.map((r) => h("li", {}, h("b", {}, r.type || "Recall"),
    h(`span${r.due && r.due < today && !r.scheduled ? ".late" : ".quiet"}`, {}, r.due ? ` due ${day(r.due)}` : " no due date"),
    r.scheduled ? h("em.tag", {}, `Booked ${day(r.scheduled, { month: "short", day: "numeric" })}`) : null, r.status ? h("span.quiet", {}, ` · ${r.status}`) : null))));
}

function balance(seen) {
  const own = seen.balance, house = seen.family_balance;
  if (!own && !house) return panel("Balance", "", none("No balance has arrived."));
  const parts = house ? [["0–30", house.family_0_30], ["31–60", house.family_31_60], ["61–90", house.family_61_90], ["Over 90", house.family_over_90]] : [];
  const total = parts.reduce((sum, [, v]) => sum + Math.max(0, Number(v || 0)), 0);
  const shades = ["a", "b", "c", "d"];
  return panel("Balance", "",
    facts([["Own", own ? money(own.individual) : null], ["Family", house ? money(house.family_total) : null], ["Insurance estimate", house ? money(house.family_insurance_estimate) : null]]),
    total > 0 ? h("div.aging", { role: "img", "aria-label": parts.map(([n, v]) => `${n} days ${money(v || 0)}`).join(", ") },
      parts.map(([n, v], i) => (Number(v) > 0 ? h(`span.age-${shades[i]}`, { style: { flexGrow: String(Number(v)) }, title: `${n} days: ${money(v)}` }) : null))) : null,
    total > 0 ? h("div.aging-text.quiet", {}, parts.map(([n, v], i) => h("span", {}, h(`i.swatch.age-${shades[i]}`), `${n}: ${money(v || 0)}`))) : null);
}

function coverage(list) {
  if (!list.length) return panel("Insurance", "", none("No insurance on file."));
  return panel("Insurance", "", h("ul.lines", {}, list.map((c) => h("li", {}, h("b", {}, c.carrier || "Carrier unknown"),
    h("em.tag", {}, { 1: "Primary", 2: "Secondary" }[c.ordinal] || `No. ${c.ordinal ?? "?"}`), h("br"),
    h("span.quiet", {}, [c.group_name, c.group_number ? `group ${c.group_number}` : null, c.subscriber_id ? `ID ${c.subscriber_id}` : null, c.relationship ? words(c.relationship).toLowerCase() : null].filter(Boolean).join(" · "))))));
}

function plan(list) {
  if (!list.length) return panel("Treatment plan", "", none("Nothing is planned."));
  const total = list.reduce((sum, w) => sum + Number(w.amount || 0), 0);
  return panel("Treatment plan", money(total), h("table.plan", {}, h("thead", {}, h("tr", {}, ["Code", "Work", "Tooth", "Fee"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, list.map((w) => h("tr", {}, h("td", {}, w.code || ""), h("td", {}, w.description || ""), h("td", {}, [w.tooth, w.surface].filter(Boolean).join(" ")), h("td.num", {}, money(w.amount)))))));
}

function communications(list) {
  if (!list.length) return panel("Communications", "", none("No contact was logged."));
  return panel("Communications", "", h("ul.lines", {}, list.map((c) => h("li", {}, h("b", {}, c.type || words(c.mode || "note")),
    h("span.quiet", {}, ` ${[c.direction === "received" ? "from patient" : c.direction === "sent" ? "to patient" : null, c.mode && c.mode !== "none" ? words(c.mode).toLowerCase() : null, moment(c.at)].filter(Boolean).join(" · ")}`),
    c.note ? h("p.said", {}, c.note) : null))));
}

function more(seen) {
  const p = seen.person;
  const shown = facts([["First visit", p.first_visit ? day(p.first_visit) : null], ["Heard of us from", seen.heard_from], ["Chart number", p.chart_number],
    ["Family note", p.family_note], ["Phone note", p.phone_note], ...Object.entries(p.custom || {})]);
  return shown ? panel("More", "", shown) : null;
}
