// Talks to the CRM behind the page. Answers are JSON; failures are errors with a status.

/** No answer, or a refusal. `problem`: the RFC 9457 document of a refusal, else null. */
export class Unanswered extends Error {
  constructor(status, problem = null) {
    super(`status ${status}`);
    this.status = status;
    this.problem = problem;
  }

  /** Refused for a reason of the contract: nothing was queued. */
  get isRefused() {
    return Boolean(this.problem?.type?.endsWith("/command-refused"));
  }

  /** What to tell a person. */
  get told() {
    if (this.problem?.staff_text) return this.problem.staff_text;
    if (this.status === 0) return "The CRM does not answer. Nothing was lost; try again.";
    if (this.status === 404) return "This is not here any more.";
    if (this.problem?.type?.endsWith("/command-started")) return "Too late: the practice has it already.";
    if (this.status === 400 && this.problem?.detail) return `The CRM does not take this: ${this.problem.detail}.`;
    return "The CRM could not do this. Try again in a moment.";
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, { ...options, cache: "no-store" });
  } catch {
    throw new Unanswered(0);
  }
  if (!answer.ok) throw new Unanswered(answer.status, await answer.json().catch(() => null));
  return answer.json();
}

/** POST `body`. `once`: an idempotency key, so that a second click makes no second command. */
function act(path, body = {}, once = null) {
  const headers = { "Content-Type": "application/json", "X-Bridgework-Page": "1" };
  if (once) headers["Idempotency-Key"] = once;
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

const part = encodeURIComponent;

export const overview = () => ask("overview");
export const dayOf = (date) => ask(`day?date=${encodeURIComponent(date)}`);
export const findPatients = (typed) => ask(`patients?q=${encodeURIComponent(typed)}`);
export const patient = (key) => ask(`patients/${encodeURIComponent(key)}`);
export const activity = (before) => ask(before ? `activity?before=${before}` : "activity");
export const rejects = () => ask("rejects");
export const retry = (id) =>
  ask(`rejects/${id}/retry`, { method: "POST", headers: { "X-Bridgework-Page": "1" } });

// --- acting --------------------------------------------------------------------------------------

export const desk = () => ask("desk");
export const slots = (asked) => ask(`slots?${new URLSearchParams(Object.entries(asked).filter(([, v]) => v !== null && v !== undefined && v !== ""))}`);
export const book = (body, once) => act("book", body, once);
export const move = (key, body, once) => act(`visits/${part(key)}/move`, body, once);
export const confirm = (key, once) => act(`visits/${part(key)}/confirm`, {}, once);
export const cancel = (key, body, once) => act(`visits/${part(key)}/cancel`, body, once);
export const edit = (key, body, once) => act(`patients/${part(key)}/edit`, body, once);
export const consent = (key, channel, word) => act(`patients/${part(key)}/consent`, { channel, consent: word });
export const command = (id) => ask(`commands/${part(id)}`);
export const withdraw = (id) => act(`commands/${part(id)}/withdraw`);
export const dismiss = (id) => act(`commands/${part(id)}/dismiss`);

export const contacts = (typed) => ask(`contacts?state=open&q=${part(typed)}`);
export const conflicts = (state) => ask(`conflicts?state=${part(state)}`);
export const duplicates = () => ask("duplicates");
export const linkContact = (id, key) => act(`contacts/${part(id)}/link`, { key });
export const rejectLink = (id, key) => act(`contacts/${part(id)}/reject`, { key });

/** A key for one intent: the same as long as what is sent stays the same. */
export function onceFor() {
  let sent = "", key = "";
  return (body) => {
    const text = JSON.stringify(body);
    if (text !== sent) {
      sent = text;
      key = [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
    }
    return key;
  };
}

const KINDS = ["records", "beat", "rejects", "commands", "contacts", "conflicts", "switches"];

/**
 * Calls back with the kinds of things that happened (KINDS), and with "open" or "lost" as the line
 * comes and goes. The browser reconnects by itself.
 */
export function listen(heard) {
  const source = new EventSource("events");
  for (const kind of KINDS) source.addEventListener(kind, () => heard(kind));
  source.addEventListener("hello", () => heard("open"));
  source.addEventListener("error", () => heard("lost"));
  return source;
}
