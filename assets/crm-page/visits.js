// Acting on the schedule: book, look at a visit, move, confirm, cancel; and a request's own sheet.

import * as api from "./api.js";
import { desk } from "./desk.js";
import { Dialog, field } from "./dialog.js";
import { clock, day, h, hours } from "./dom.js";
import { about, requests } from "./requests.js";
import { offers, SlotPicker } from "./slots.js";
import { WhoPicker } from "./who.js";

export const MOVE = "appointment.reschedule";
export const BOOK = "appointment.book";

/**
 * The booking dialog. `wish`: {date, minutes?, operatory?, minute?}; `who`: {key|cloud_id, name} when
 * it is known already.
 */
export function openBooking(wish, who = null, note = "") {
  const once = api.onceFor();
  let dialog = null;
  let person = null;
  const isNew = h("input", { type: "checkbox" });
  const check = () => dialog?.ready(Boolean(slots.chosen && person.value));
  person = new WhoPicker(who, () => {
    if (person && isNew.dataset.was !== String(person.isNew)) {
      isNew.dataset.was = String(person.isNew);
      isNew.checked = person.isNew;
    }
    check();
  });
  const slots = new SlotPicker({ minutes: 30, ...wish }, () => check());
  const noted = h("textarea", { rows: 2, maxlength: 500, placeholder: "What for" });
  noted.value = note;
  let isSure = false;
  const send = async () => {
    const slot = slots.chosen;
    const body = {
      patient: person.value, start: slot.start, minutes: slot.minutes, operatory_key: slot.operatory_key,
      ...(slot.provider_key ? { provider_key: slot.provider_key } : {}), ...(noted.value.trim() ? { note: noted.value.trim() } : {}),
      ...(isNew.checked ? { is_new_patient: true } : {}), ...(isSure ? { is_sure: true } : {}),
    };
    const view = await api.book(body, once(body));
    const known = view.patient_key ? { key: view.patient_key, name: view.patient } : view.cloud_id ? { cloud_id: view.cloud_id, name: view.patient } : who;
    requests.follow(view, (other) => openBooking(wishOf(other), known, noted.value));
    dialog.close();
  };
  dialog = new Dialog({
    title: "Book a visit", wide: true, close: "Cancel",
    content: [h("div.columns2", {},
      h("section", { "aria-label": "Who" }, h("h3", {}, "Who"), person.element,
        h("label.check", {}, isNew, "First visit of a new patient"), field("Note for the schedule", noted)),
      h("section", { "aria-label": "When" }, h("h3", {}, "When"), slots.element))],
    actions: [{ text: "Book", kind: "main", run: send, why: desk.whyNot(BOOK) }],
    onRefused: (error) => {
      if (!error.isRefused) return false;
      const people = error.problem.people;
      if (people?.length) {
        dialog.tell("Somebody by this name and birth date is known already.",
          h("div.offers", { role: "group", "aria-label": "Known people" },
            people.map((p) => h("button.plain", { type: "button", onclick: () => { person.take(knownOf(p)); dialog.tell(""); } }, `Book ${p.name}`)),
            h("button.plain", { type: "button", onclick: () => { isSure = true; dialog.tell(""); dialog.run(dialog.buttons[0]); } }, "Somebody else: book anyway")));
      } else {
        dialog.tell(error.told, offers(error.problem.alternatives, (slot) => { dialog.tell(""); slots.take(slot); }));
        if (error.problem.reason_code === "slot_taken") slots.load();
      }
      return true;
    },
  });
  const why = desk.whyNot(BOOK);
  if (why) dialog.tell(why);
  check();
  return dialog;
}

const knownOf = (p) => (p.key ? { key: p.key, name: p.name } : { cloud_id: p.cloud_id, name: p.name });
const wishOf = (slot) => ({ date: slot.at.slice(0, 10), minutes: slot.minutes, operatory: slot.operatory_key, minute: slot.minute });

/** The move dialog; `wish`: {date, operatory, minute} of the new place, else the visit's own day. */
export function openMove(visit, wish) {
  const once = api.onceFor();
  let dialog = null;
  const slots = new SlotPicker({ minutes: visit.minutes, ...wish, moving: visit.key }, () => check());
  const check = () => dialog?.ready(Boolean(slots.chosen));
  const send = async () => {
    const slot = slots.chosen;
    const body = { start: slot.start, minutes: slot.minutes, operatory_key: slot.operatory_key, ...(slot.provider_key ? { provider_key: slot.provider_key } : {}) };
    const view = await api.move(visit.key, body, once(body));
    requests.follow(view, (other) => openMove(visit, wishOf(other)));
    dialog.close();
  };
  dialog = new Dialog({
    title: `Move ${visit.patient}`, wide: true, close: "Keep it where it is",
    sub: visit.date ? `Now ${day(visit.date, { weekday: "long", month: "short", day: "numeric" })}, ${hours(visit.start, visit.minutes)}` : null,
    content: [slots.element],
    actions: [{ text: "Move", kind: "main", run: send, why: desk.whyNot(MOVE) }],
    onRefused: (error) => {
      if (!error.isRefused) return false;
      dialog.tell(error.told, offers(error.problem.alternatives, (slot) => { dialog.tell(""); slots.take(slot); }));
      if (error.problem.reason_code === "slot_taken") slots.load();
      return true;
    },
  });
  const why = desk.whyNot(MOVE);
  if (why) dialog.tell(why);
  check();
  return dialog;
}

/** What a visit is, and what can be done about it. */
export function openVisit(visit) {
  const isNote = visit.look === "note";
  const isOver = ["complete", "broken"].includes(visit.look);
  const over = isOver ? "This visit is over." : null;
  const pending = visit.pending;
  const busy = pending ? `A request about this visit is open: ${pending.told.toLowerCase()}.` : null;
  const lead = (open) => () => { dialog.close(); open(); };
  const dialog = new Dialog({
    title: isNote ? "Note" : visit.patient,
    sub: `${day(visit.date, { weekday: "long", month: "long", day: "numeric" })}, ${hours(visit.start, visit.minutes)}`,
    content: [
      pending ? requestLine(pending) : null,
      facts([["Where", visit.operatoryName], ["With", [visit.provider, visit.hygienist].filter(Boolean).join(", ")], ["State", visit.label],
        ["Work", visit.work], ["Note", visit.note]]),
      visit.patient_key && !isNote ? h("p", {}, h("a.link", { href: `#/patients/${encodeURIComponent(visit.patient_key)}`, onclick: () => dialog.close() }, "Open the patient's card")) : null,
    ],
    actions: isNote ? [] : [
      { text: "Cancel visit…", kind: "danger", run: lead(() => openCancel(visit)), why: over || busy || desk.whyNot("appointment.cancel") },
      { text: "Move…", run: lead(() => openMove(visit, { date: visit.date, operatory: visit.operatory })), why: over || busy || desk.whyNot(MOVE) },
      { text: "Confirm", kind: "main", run: async () => {
        requests.follow(await api.confirm(visit.key));
        dialog.close();
      }, why: over || busy || (visit.look === "confirmed" ? "It is confirmed." : desk.whyNot("appointment.confirm")) },
    ],
  });
  return dialog;
}

function openCancel(visit) {
  const once = api.onceFor();
  const kind = (value, text, hint, checked) => h("label.option", {}, h("input", { type: "radio", name: "break", value, checked }), h("span", {}, h("b", {}, text), h("small.quiet", {}, hint)));
  const kinds = h("div.options", { role: "radiogroup", "aria-label": "How it ended" },
    kind("cancelled", "The patient cancelled", "They told the practice in time.", true),
    kind("missed", "The patient did not come", "It counts as a missed visit in the practice."));
  const note = h("textarea", { rows: 2, maxlength: 300, autofocus: true, placeholder: "Has a cold, will call again" });
  const waits = h("input", { type: "checkbox" });
  const dialog = new Dialog({
    title: `Cancel ${visit.patient}`, close: "Keep the visit",
    sub: `${day(visit.date, { weekday: "long", month: "long", day: "numeric" })}, ${clock(visit.start)}`,
    content: [kinds, field("Reason", note), h("label.check", {}, waits, "Keep it on the list of visits to be scheduled again")],
    actions: [{ text: "Cancel the visit", kind: "main", run: async () => {
      const body = { break_type: kinds.querySelector("input:checked").value, to_unscheduled: waits.checked, ...(note.value.trim() ? { note: note.value.trim() } : {}) };
      requests.follow(await api.cancel(visit.key, body, once(body)));
      dialog.close();
    } }],
  });
  dialog.buttons[0].classList.add("danger");
  return dialog;
}

/** A request that holds a place, or was refused there. */
export function openRequest(view) {
  const isGone = !view.is_open;
  const again = (slot) => {
    dialog.close();
    api.dismiss(view.command_id).catch(() => null);
    if (view.type === MOVE) openMove({ key: view.target.key, patient: view.patient, minutes: view.minutes }, wishOf(slot));
    else openBooking(wishOf(slot), view.patient_key ? { key: view.patient_key, name: view.patient } : { cloud_id: view.cloud_id, name: view.patient });
  };
  const dialog = new Dialog({
    title: about(view), sub: view.told,
    content: [view.why ? h("p", {}, view.why) : null, facts([["Length", view.minutes ? `${view.minutes} min` : null], ["Asked", new Date(view.created_at).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" })]]),
      isGone && view.alternatives.length ? [h("h3", {}, "Free instead"), offers(view.alternatives, again, view.date)] : null],
    actions: [
      view.state === "queued" ? { text: "Withdraw", kind: "danger", run: async () => { await api.withdraw(view.command_id); dialog.close(); } } : null,
      isGone ? { text: "Clear from the schedule", kind: "main", run: async () => { await api.dismiss(view.command_id); dialog.close(); } } : null,
    ].filter(Boolean),
  });
  return dialog;
}

const requestName = (view) => (view.date && view.minute !== null ? `${view.label}, ${day(view.date, { weekday: "short", month: "short", day: "numeric" })}, ${clock(view.minute)}` : view.label);

export function requestLine(view) {
  const isBad = !view.is_open && view.state !== "applied";
  return h(`p.asked${isBad ? ".bad" : ""}`, {}, h("b", {}, `${requestName(view)}: `), view.told, view.why && view.state !== "applied" ? `. ${view.why}` : null);
}

function facts(pairs) {
  const known = pairs.filter(([, value]) => value);
  return known.length ? h("dl.facts", {}, known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])) : null;
}
