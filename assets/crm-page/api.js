// Talks to the CRM behind the page. Answers are JSON; failures are errors with a status.

export class Unanswered extends Error {
  constructor(status) {
    super(`status ${status}`);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, { ...options, cache: "no-store" });
  } catch {
    throw new Unanswered(0);
  }
  if (!answer.ok) throw new Unanswered(answer.status);
  return answer.json();
}

export const overview = () => ask("overview");
export const dayOf = (date) => ask(`day?date=${encodeURIComponent(date)}`);
export const findPatients = (typed) => ask(`patients?q=${encodeURIComponent(typed)}`);
export const patient = (key) => ask(`patients/${encodeURIComponent(key)}`);
export const activity = (before) => ask(before ? `activity?before=${before}` : "activity");
export const rejects = () => ask("rejects");
export const retry = (id) =>
  ask(`rejects/${id}/retry`, { method: "POST", headers: { "X-Bridgework-Page": "1" } });

/**
 * Calls back with the kinds of things that happened ("records", "beat", "rejects"), and with
 * "open" or "lost" as the line comes and goes. The browser reconnects by itself.
 */
export function listen(heard) {
  const source = new EventSource("events");
  for (const kind of ["records", "beat", "rejects"]) source.addEventListener(kind, () => heard(kind));
  source.addEventListener("hello", () => heard("open"));
  source.addEventListener("error", () => heard("lost"));
  return source;
}
