// Changing what is known of a patient: the CRM asks, the practice decides, the card follows.

import * as api from "./api.js";
import { desk } from "./desk.js";
import { Dialog, field } from "./dialog.js";
import { h, phone } from "./dom.js";
import { requests } from "./requests.js";

const GROUPS = [["person", "Person"], ["contact", "Contact"], ["address", "Address"]];
export const EDIT = "patient.update_contact";
export const CONSENT = "consent.set";

/** What a field shows in a form. */
function shown(spec, person) {
  const value = person[spec.name];
  if (spec.kind === "emails") return (value || []).join(", ");
  if (spec.kind === "phone") return phone(value || person[`${spec.name}_raw`] || "");
  return value ?? "";
}

/** What the practice is asked to hold: the field's value, null for nothing. */
function asked(spec, typed) {
  const text = typed.trim();
  if (!text) return null;
  return spec.kind === "emails" ? text.split(/[\s,;]+/).filter(Boolean) : text;
}

/** A value in a line of text. */
export function spoken(spec, value) {
  if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) return "nothing";
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return /^\+\d{7,}$/.test(String(value)) ? phone(String(value)) : String(value);
}

export function openEdit(seen) {
  const once = api.onceFor();
  const person = seen.person;
  const waiting = new Map();
  for (const view of seen.pending || []) if (view.is_open) for (const [name, value] of Object.entries(view.fields || {})) waiting.set(name, value);
  const types = { phone: "tel", date: "date", emails: "text", text: "text" };
  const inputs = new Map();
  const check = () => dialog?.ready(Object.keys(changed()).length > 0);
  const line = (spec) => {
    const input = h("input", { type: types[spec.kind] || "text", autocomplete: "off", spellcheck: "false", maxlength: spec.kind === "date" ? undefined : 250, oninput: () => { input.removeAttribute("aria-invalid"); check(); } });
    input.value = shown(spec, person);
    inputs.set(spec, input);
    return field(spec.label, input, waiting.has(spec.name) ? `Asked already: ${spoken(spec, waiting.get(spec.name))}` : spec.kind === "emails" ? "Several: separate them by commas." : null);
  };
  const changed = () => {
    const fields = {};
    for (const [spec, input] of inputs) if (input.value.trim() !== String(shown(spec, person)).trim()) fields[spec.name] = asked(spec, input.value);
    return fields;
  };
  const groups = GROUPS.map(([group, title]) => {
    const specs = desk.fields.filter((spec) => spec.group === group);
    return specs.length ? h("fieldset", {}, h("legend", {}, title), h("div.fields", {}, specs.map(line))) : null;
  });
  const dialog = new Dialog({
    title: `Edit ${seen.name}`, wide: true, close: "Cancel",
    sub: "The practice takes each change that nobody there has made meanwhile.",
    content: groups,
    actions: [{ text: "Send to the practice", kind: "main", why: desk.whyNot(EDIT), run: async () => {
      const fields = changed();
      const expected = Object.fromEntries(Object.keys(fields).map((name) => [name, person[name] ?? null]));
      const body = { fields, expected };
      requests.follow(await api.edit(seen.key, body, once(body)));
      dialog.close();
    } }],
    onRefused: (error) => {
      const words = `${error.problem?.detail || ""} ${error.problem?.staff_text || ""}`;
      for (const [spec, input] of inputs) {
        if (!words.includes(spec.name) && !words.includes(spec.label)) continue;
        input.setAttribute("aria-invalid", "true");
        dialog.tell(error.problem.staff_text || `${spec.label} cannot be this. Mend it and send again.`);
        input.focus();
        return true;
      }
      return false;
    },
  });
  const why = desk.whyNot(EDIT);
  if (why) dialog.tell(why);
  check();
  return dialog;
}

/** Ask for a yes or no on one channel. */
export function openConsent(seen, channel) {
  const name = channel === "sms" ? "text messages" : "email";
  const now = seen.person[`${channel}_consent`] || "unknown";
  const send = (word) => async () => {
    requests.follow(await api.consent(seen.key, channel, word));
    dialog.close();
  };
  const dialog = new Dialog({
    title: `Consent to ${name}`, sub: seen.name, close: "Leave it",
    content: [h("p", {}, `On file: ${{ granted: "yes", denied: "no", unknown: "never asked" }[now] || now}. A no in the practice is never overwritten by an older yes.`)],
    actions: [
      { text: "They said no", kind: "plain", why: desk.whyNot(CONSENT) || (now === "denied" ? "It is on file." : null), run: send("denied") },
      { text: "They said yes", kind: "main", why: desk.whyNot(CONSENT) || (now === "granted" ? "It is on file." : null), run: send("granted") },
    ],
  });
}
