// The page's frame: which view is shown, what the header says, and when to look again.

import * as api from "./api.js";
import { $, h, number, span } from "./dom.js";
import { Activity } from "./activity.js";
import { desk } from "./desk.js";
import { Patients } from "./patients.js";
import { Rejects } from "./rejects.js";
import { requests } from "./requests.js";
import { Review } from "./review.js";
import { Today } from "./today.js";

const REFRESH_MS = 400; // under a flood of changes the page looks again this often
const SILENT_S = 75; // two heartbeats and a half
const BEHIND_S = 60;
const SHOWN_TYPES = ["patient", "appointment", "recall", "procedure", "claim", "payment", "communication"];
const PLURAL = {
  practice: "Practices", provider: "Providers", operatory: "Operatories",
  procedure_code: "Procedure codes", referral_source: "Referral sources", patient: "Patients",
  appointment: "Appointments", schedule_block: "Schedule blocks", recall: "Recalls",
  balance: "Balances", coverage: "Coverages", procedure: "Procedures", claim: "Claims",
  payment: "Payments", adjustment: "Adjustments", communication: "Communications",
  clinical_note: "Clinical notes", perio_exam: "Perio exams", lab_case: "Lab cases",
};

const views = { today: new Today(), patients: new Patients(), review: new Review(), activity: new Activity(), rejects: new Rejects() };
const state = { overview: null, skewMs: 0, line: "open", view: null };

// --- where we are ------------------------------------------------------------------------------

function route() {
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  const view = views[name] || views.today;
  for (const tab of $("tabs").children) {
    if (tab.dataset.view === (views[name] ? name : "today")) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (state.view !== view) {
    state.view?.close();
    $("view").replaceChildren();
    $("view").className = `view-${views[name] ? name : "today"}`;
    state.view = view;
  }
  view.open($("view"), rest, state.overview);
}

// --- looking again -----------------------------------------------------------------------------

let busy = false;
let again = false;
let lastLook = 0;
let timer = 0;

function lookSoon() {
  if (document.hidden) {
    again = true;
    return;
  }
  if (timer) return;
  timer = setTimeout(look, Math.max(0, lastLook + REFRESH_MS - Date.now()));
}

async function look() {
  timer = 0;
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  again = false;
  try {
    await Promise.all([readOverview(), desk.refresh()]);
    tellReviews();
    await Promise.all([state.view?.refresh(), requests.refresh()]);
    state.line = "open";
  } catch (error) {
    if (!(error instanceof api.Unanswered)) throw error;
    state.line = "lost";
  } finally {
    busy = false;
    lastLook = Date.now();
    tellFreshness();
    if (again) lookSoon();
  }
}

async function readOverview() {
  const seen = await api.overview();
  state.overview = seen;
  state.skewMs = Date.parse(seen.server_time) - Date.now();
  document.title = `${seen.practice_name} · CRM`;
  $("practice").textContent = seen.practice_name;
  $("zone").textContent = seen.zone.replaceAll("_", " ");
  $("foot").hidden = Boolean(seen.is_open);
  const open = seen.rejects_open;
  $("reject-count").hidden = !open;
  $("reject-count").textContent = open ? ` ${number(open)}` : "";
  tellCounts(seen.types);
}

function tellReviews() {
  const open = desk.openReviews;
  $("review-count").hidden = !open;
  $("review-count").textContent = open ? ` ${number(open)}` : "";
}

// --- the header --------------------------------------------------------------------------------

function tellCounts(types) {
  const all = Object.keys(types);
  const chip = (name) =>
    h("span.count", {}, h("b", {}, number(types[name].count)), ` ${PLURAL[name] || name}`);
  const total = all.reduce((sum, name) => sum + types[name].count, 0);
  const wasOpen = $("counts").querySelector("details")?.open;
  const more = h("details.all", { open: wasOpen }, h("summary", {}, `All ${number(total)} records`),
    h("div.pop", {}, all.map((name) => h("div.line", {}, h("span", {}, PLURAL[name] || name),
      h("b", {}, number(types[name].count))))));
  $("counts").replaceChildren(...SHOWN_TYPES.map(chip), more);
}

/** How fresh what we show is: good only when everything known says so. */
function freshness() {
  const seen = state.overview;
  if (state.line === "lost") return ["bad", "This page lost the CRM"];
  if (!seen) return ["none", "Looking…"];
  const beat = seen.heartbeat;
  if (!beat) return seen.last_push_at
    ? ["none", `Last change ${age(seen.last_push_at)} ago`]
    : ["none", "No agent has reported yet"];
  const silent = ageS(seen.last_heartbeat_at);
  if (seen.alerts?.includes("agent.silent")) return ["bad", `No word from the agent for ${span(silent)}; the office is open`];
  if (silent > SILENT_S) return ["warn", `No word from the agent for ${span(silent)}`];
  if ((beat.oldest_unsent_s || 0) > BEHIND_S) return ["warn", `Behind by ${span(beat.oldest_unsent_s)}`];
  const read = beat.last_read_at ? ageS(beat.last_read_at) : null;
  if (read === null) return ["warn", "The agent has not read the practice yet"];
  if (read > SILENT_S) return ["warn", `Practice last read ${span(read)} ago`];
  if (beat.open_conflicts + beat.parked > 0) {
    const n = beat.open_conflicts + beat.parked;
    return ["warn", `Live, ${n} record${n === 1 ? "" : "s"} need a look`];
  }
  return ["good", "Live"];
}

const ageS = (at) => Math.max(0, (Date.now() + state.skewMs - Date.parse(at)) / 1000);
const age = (at) => span(ageS(at));

function tellFreshness() {
  const [mark, text] = freshness();
  $("fresh-dot").className = `dot ${mark}`;
  $("fresh").className = `fresh ${mark}`;
  if ($("fresh-text").textContent !== text) $("fresh-text").textContent = text;
  if (!$("fresh").open) return;
  const seen = state.overview;
  const beat = seen?.heartbeat;
  const facts = [
    ["Last change arrived", seen?.last_push_at ? `${age(seen.last_push_at)} ago` : "never"],
    ["Agent last heard", seen?.last_heartbeat_at ? `${age(seen.last_heartbeat_at)} ago` : "never"],
    ["Practice last read", beat?.last_read_at ? `${age(beat.last_read_at)} ago` : "unknown"],
    ["Oldest change unsent", beat ? (beat.oldest_unsent_s === null ? "none" : span(beat.oldest_unsent_s)) : "unknown"],
    ["Oldest part unproven", beat ? (beat.oldest_unverified_s === null ? "none" : span(beat.oldest_unverified_s)) : "unknown"],
    ["Everything last proven equal", beat?.proof ? `${age(beat.proof.at)} ago, ${number(beat.proof.rows)} records` : "not yet"],
    ["Batches waiting", beat ? number(beat.pending_batches) : "unknown"],
    ["Parked records", beat ? number(beat.parked) : "unknown"],
    ["Open conflicts", beat ? number(beat.open_conflicts) : "unknown"],
    ["Practice system", beat ? `${beat.pms_kind} ${beat.pms_version}` : "unknown"],
    ["Agent", beat ? beat.agent_version : "unknown"],
  ];
  $("fresh-facts").replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

// --- life --------------------------------------------------------------------------------------

window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => { if (!document.hidden) lookSoon(); });
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "Escape") for (const open of document.querySelectorAll("details[open].fresh, details[open].all")) open.open = false;
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    if (state.view !== views.patients) location.hash = "#/patients";
    setTimeout(() => views.patients.focus(), 0);
  } else state.view?.key?.(event);
});
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details[open].fresh, details[open].all")) {
    if (!open.contains(event.target)) open.open = false;
  }
});
$("fresh").addEventListener("toggle", tellFreshness);

document.body.append(requests.place);
requests.draw();
await look();
route();
setInterval(tellFreshness, 1000);
setInterval(lookSoon, 15000);
api.listen((kind) => {
  if (kind === "lost") {
    state.line = "lost";
    tellFreshness();
  } else lookSoon();
});
